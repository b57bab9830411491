"""torchdistill's own hooks and KD loss in the loop of its examples, on the models of the other packages in PyTorch.

Its hooks do not see the layers of Keras, so the ResNets are written again as PyTorch modules.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torchdistill.core.forward_hook import ForwardHookManager
from torchdistill.losses.mid_level import KDLoss

from benchmarks.zoo.resnet import WIDTHS


class Block(nn.Module):
    """Two convolutions and what goes past them."""

    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        self.path = nn.Sequential(
            nn.Conv2d(before, width, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
        )
        shortcut = (nn.Conv2d(before, width, 1, stride, bias=False), nn.BatchNorm2d(width))
        self.shortcut = nn.Sequential(*shortcut) if stride > 1 or before != width else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.path(x) + self.shortcut(x))


def residual(blocks: int) -> nn.Sequential:
    """Builds `benchmarks.zoo.resnet.residual` in PyTorch."""
    stem = nn.Sequential(nn.Conv2d(3, WIDTHS[0], 3, padding=1, bias=False), nn.BatchNorm2d(WIDTHS[0]), nn.ReLU())
    model = nn.Sequential()
    model.append(stem)
    for before, width, stride in zip(WIDTHS, WIDTHS[1:], (1, 2, 2), strict=False):
        first = Block(before, width, stride)
        model.append(nn.Sequential(first, *(Block(width, width, 1) for _ in range(blocks - 1))))
    model.append(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()))
    return model.append(nn.Linear(WIDTHS[-1], 100))


STAGE2, HEAD = "2", "5"


def epoch_of(
    arrays: Sequence[np.ndarray], batch_size: int, temperature: float | None, feature: bool = False
) -> Callable[[], None]:
    """An epoch of the student alone (without a temperature), of KD, or of KD and a mean square of feature maps."""
    data = torch.utils.data.TensorDataset(torch.from_numpy(arrays[0]).permute(0, 3, 1, 2), torch.from_numpy(arrays[1]))
    loader = torch.utils.data.DataLoader(data, batch_size, shuffle=True)
    teacher, student = residual(3).eval().requires_grad_(requires_grad=False), residual(1).train()
    loss_of = nn.CrossEntropyLoss() if temperature is None else distilled(teacher, student, temperature, feature)
    optimizer = torch.optim.SGD(student.parameters(), lr=0.001, momentum=0.9)

    def epoch() -> None:
        for x, y in loader:
            if temperature is not None:
                with torch.no_grad():
                    teacher(x)
            loss = loss_of(student(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return epoch


def distilled(teacher: nn.Module, student: nn.Module, temperature: float, feature: bool) -> Callable[..., Any]:
    """Torchdistill's loss, from what its hooks collect."""
    managers = []
    for model in (teacher, student):
        managers.append(ForwardHookManager(torch.device("cpu")))
        for path in (STAGE2, HEAD) if feature else (HEAD,):
            managers[-1].add_hook(model, path, requires_input=False, requires_output=True)
    criterion = KDLoss(HEAD, "output", HEAD, "output", temperature, alpha=0.1)

    def loss_of(logits: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        of_teacher, of_student = (manager.pop_io_dict() for manager in managers)
        loss = criterion(of_student, of_teacher, y)
        if feature:
            loss = loss + nn.functional.mse_loss(of_student[STAGE2]["output"], of_teacher[STAGE2]["output"])
        return loss

    return loss_of
