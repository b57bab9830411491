"""All metadata and extras of keras_smskd; `pyproject.toml` holds the settings of tools alone."""

import pathlib
import re

from setuptools import find_packages, setup

HERE = pathlib.Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (HERE / "keras_smskd" / "version.py").read_text()).group(1)

FIGURES = ["matplotlib>=3.8"]
TENSORBOARD = ["tensorboard>=2.16", "setuptools<81"]
EXPORT = ["tf2onnx>=1.17", "onnxscript>=0.5"]  # ONNX from TensorFlow and PyTorch; both bring `onnx`, no backend.
NOTEBOOKS = ["nbclient>=0.9", "ipykernel>=6", "scikit-learn>=1.3", *FIGURES, *TENSORBOARD]
SEARCH = ["keras-tuner>=1.4.8", "six"]  # KerasTuner 1.4.8 imports `six` and does not ask for it.
EXTRAS = {
    "tensorflow": ["tensorflow>=2.16"],
    "jax": ["jax>=0.4.28", "keras>=3.10"],  # Older releases of Keras do not run on newer ones of JAX.
    "torch": ["torch>=2.1"],
    "cv": ["keras-cv>=0.9"],
    "hub": ["keras-hub>=0.18"],  # Brings TensorFlow, for its tokenizers.
    "tensorboard": TENSORBOARD,
    "figures": FIGURES,
    "export": EXPORT,
    "export-jax": ["jax2onnx>=0.17"],  # ONNX from JAX; brings much of JAX's ecosystem.
    "search": SEARCH,
    "examples": ["scikit-learn>=1.3", *TENSORBOARD],
    "notebooks": NOTEBOOKS,
    "benchmarks": FIGURES,
    "docs": ["mkdocs-material>=9.7", "mkdocstrings[python]>=1", "nbconvert>=7", "ruff>=0.8"],  # Ruff: signatures.
    "dev": [
        "pytest>=8",
        "pytest-xdist>=3.5",
        "hypothesis>=6.100",
        "ruff>=0.8",
        "mypy>=1.10",
        "import-linter>=2",
        "pylint>=3.2",
        "onnxruntime>=1.19",
        "pydot>=3",
        *NOTEBOOKS,
        *EXPORT,
        *SEARCH,
    ],
}

setup(
    name="keras_smskd",
    version=VERSION,
    description="Knowledge distillation in Keras 3, one method after another (SMSKD)",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    packages=find_packages(include=["keras_smskd", "keras_smskd.*"]),
    package_data={"keras_smskd": ["py.typed"]},
    python_requires=">=3.10",
    install_requires=["keras>=3.8", "numpy>=1.26", "filelock>=3.12", "rich"],
    extras_require=EXTRAS,
    project_urls={"Paper": "https://arxiv.org/abs/2601.15657"},
    keywords=["knowledge distillation", "Keras", "SMSKD", "TensorFlow", "JAX", "PyTorch"],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3 :: Only",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Software Development :: Libraries :: Python Modules",
        "Typing :: Typed",
    ],
)
