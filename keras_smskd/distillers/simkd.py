"""SimKD: the teacher's classifier, reused on the student's features."""

from typing import Any

import keras
import numpy as np

from keras_smskd.base.distiller import Distiller, Model
from keras_smskd.checks import check_count
from keras_smskd.copies import take_over
from keras_smskd.features import Features, find_layer, input_specs
from keras_smskd.ops import channels_of, match_sizes, mean_square, spatial_axes
from keras_smskd.projectors import Shape, normalized
from keras_smskd.reference import freeze_copy

Tensor = Any
LayerPairs = dict[str, str]

PROJECTOR, CLASSIFIER = "reused_projector", "reused_classifier"


def simkd_loss(teacher: Tensor, student: Tensor) -> Tensor:
    """Mean squared difference of two maps, the larger one average-pooled, `(batch,)`; see `SimKDDistiller`."""
    teacher, student = match_sizes(teacher, student)
    return mean_square(student - teacher)


def simkd_projector(shape: Shape, width: int, factor: int = 2) -> keras.Sequential:
    """Builds the published projector, as narrow inside as the teacher's width divided by `factor`.

    Example:

    >>> simkd_projector((8, 8, 32), 64).output_shape
    (None, 8, 8, 64)
    """
    hidden = max(width // check_count("factor", factor), 1)
    convolutions = [
        keras.layers.Conv2D(filters, size, padding="same", use_bias=False)
        for filters, size in ((hidden, 1), (hidden, 3), (width, 1))
    ]
    steps = [layer for convolution in convolutions for layer in normalized(convolution, "relu")]
    return keras.Sequential([keras.Input(shape), *steps], name=PROJECTOR)


@keras.saving.register_keras_serializable("keras_smskd")
class SimKDDistiller(Distiller):
    """Simple Knowledge Distillation (SimKD): the teacher's own classifier works on the student's features.

    Formula: per sample `mean((projector(student) - teacher)^2)` over the entries, summed over the layers. The published
    recipe trains with this loss alone, so the label loss weighs 0.

    The student is one made by `reuse_classifier`: a backbone, a projector, the layer `"reused_projector"`, and a frozen
    copy of the teacher's classifier. So what is evaluated, saved and deployed is what the paper deploys.

    Feature maps `(batch, height, width, channels)` of equal width and any sizes: the larger one is average-pooled.

    Args:
        teacher: The model to learn from.
        student: The model to train, from `reuse_classifier`.
        layers: Dict of `{teacher_layer: "reused_projector"}`, the teacher's layer being that of `reuse_classifier`.
        **kwargs: Further arguments of `Distiller`.

    Raises:
        ValueError: If a layer outputs no feature map or the widths differ; and as `Distiller` does.

    Example:

    >>> def model(width):
    ...     return keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(width, 3, name="maps"),
    ...                              keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3)])
    >>> teacher = model(8)
    >>> student = reuse_classifier(teacher, model(2), layers={"maps": "maps"})
    >>> distiller = SimKDDistiller(teacher, student, layers={"maps": "reused_projector"})
    >>> distiller.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    >>> history = distiller.fit(np.ones((8, 8, 8, 1)), np.zeros(8), verbose=0)

    Source: Chen et al., "Knowledge Distillation with the Reused Teacher Classifier", arXiv:2203.14001.
    """

    kind = "feature"
    reads = "maps"
    default_label_weight = 0.0

    def __init__(self, teacher: Model = None, student: Model = None, **kwargs: Any) -> None:
        super().__init__(teacher, student, **kwargs)
        for shapes in self.shape_pairs:
            of_teacher, of_student = map(channels_of, shapes)
            if of_teacher != of_student:
                raise ValueError(
                    f"`layers` of SimKD must name layers of equal width, the student's being '{PROJECTOR}' of a model "
                    f"made by `reuse_classifier`. Received: widths {of_teacher} and {of_student}."
                )

    def distillation_loss(self, teacher: Features, student: Features, y: Tensor) -> Tensor:
        return sum(simkd_loss(*pair) for pair in self.pairs(teacher, student))


def reuse_classifier(teacher: keras.Model, student: keras.Model, layers: LayerPairs, factor: int = 2) -> keras.Model:
    """Builds the student of SimKD: a student up to a feature map, a projector, the teacher from its map on.

    Both parts are copies with the weights of the models, which stay as they are; the teacher's is frozen, in the layer
    `"reused_classifier"`. A map larger than the teacher's is average-pooled in front of the projector, the layer
    `"reused_projector"`: convolutions 1x1, 3x3 and 1x1, with batch normalisation and ReLU behind each.

    Args:
        teacher: A built classifier, Functional or Sequential.
        student: A built classifier, Functional or Sequential.
        layers: Dict of `{teacher_layer: student_layer}`, one entry: usually the last feature maps.
        factor: The teacher's width divided by that of the projector's first two convolutions, a whole number.

    Returns:
        A model from the student's inputs to logits, with the student's name.

    Raises:
        ValueError: If a model is no graph of layers or a layer outputs no feature map, or if the teacher's part cannot
            be cut off there.

    Example:

    >>> def model(width):
    ...     return keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(width, 3, name="maps"),
    ...                              keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3)])
    >>> student = reuse_classifier(model(8), model(2), layers={"maps": "maps"})
    >>> [layer.name for layer in student.layers][-3:]
    ['maps', 'reused_projector', 'reused_classifier']
    """
    if len(layers) != 1:
        raise ValueError(f"`layers` must have one entry for SimKD. Received: layers={layers!r}")
    ((of_teacher, of_student),) = layers.items()
    hint = _map_layer(teacher, of_teacher, "teacher")
    of_teacher, of_student = hint.name, _map_layer(student, of_student, "student").name
    backbone = keras.models.clone_model(student)
    take_over(backbone, student)
    shape = hint.output.shape[1:]
    pooled = _pooled(backbone.get_layer(of_student).output, shape)
    projected = simkd_projector(pooled.shape[1:], channels_of(shape), factor)(pooled)
    classifier = _classifier(teacher, of_teacher, projected.shape[1:])
    return keras.Model(input_specs(backbone), classifier(projected, training=False), name=student.name)


def _map_layer(model: keras.Model, path: str, role: str) -> keras.Layer:
    """The layer of that path, if it gives maps inside the graph of the model."""
    layer = find_layer(model, path, role)
    is_graph = bool(getattr(model, "inputs", None))
    if not is_graph or all(layer is not own for own in model.layers) or len(layer.output.shape) != 4:
        raise ValueError(
            f"`layers` of `reuse_classifier` must name feature maps of a Functional or Sequential {role}, and one of "
            f"its own layers rather than one in a nested model. Received: '{path}' of the model '{model.name}'."
        )
    return layer


def _pooled(feature: Any, of_teacher: Any) -> Any:
    """The student's map, average-pooled to the size of the teacher's where it is larger; sizes left free are equal."""
    own, other = ([shape[axis] for axis in spatial_axes()] for shape in (feature.shape, (None, *of_teacher)))
    if None in (*own, *other) or all(size <= limit for size, limit in zip(own, other, strict=True)):
        return feature
    sizes = np.minimum(own, other)
    if not (own % sizes).any():
        return keras.layers.AveragePooling2D(tuple(map(int, own // sizes)))(feature)
    if not hasattr(keras.layers, "AdaptiveAveragePooling2D"):
        raise ValueError(
            "`layers` must pair maps of which one has a multiple of the other's size, where Keras has no "
            f"`AdaptiveAveragePooling2D`. Received: sizes {own} of the student and {other} of the teacher."
        )
    return keras.layers.AdaptiveAveragePooling2D(tuple(map(int, sizes)))(feature)


def _classifier(teacher: keras.Model, path: str, shape: Shape) -> keras.Model:
    """A frozen copy of the teacher from a layer on, which takes maps of the given shape."""
    try:
        copy = freeze_copy(teacher)
    except ValueError as error:
        raise ValueError(f"`teacher` must be a model whose end can be copied. {error}") from error
    try:
        behind = keras.Model(copy.get_layer(path).output, copy.outputs[0], name=CLASSIFIER)
        classifier = keras.models.clone_model(behind, input_tensors=keras.Input(shape))
        take_over(classifier, behind)
    except (ValueError, KeyError) as error:
        raise ValueError(
            f"`layers` must name a layer through which alone the teacher '{teacher.name}' comes to its logits, and "
            f"what follows must take maps of shape {(None, *shape)}. Received: '{path}'."
        ) from error
    classifier.trainable = False
    return classifier
