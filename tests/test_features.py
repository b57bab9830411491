import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_smskd.features import FeatureExtractor, example_inputs, find_layer
from tests.models import convolutional, dense, images, subclassed, vectors


def nested():
    backbone = dense(5, name="backbone")
    inputs = keras.Input((6,))
    return keras.Model(inputs, layers.Dense(4)(backbone(inputs)))


class Composite(layers.Layer):
    """A layer with layers inside, in an attribute and in a list."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.first = layers.Dense(5, name="first")
        self.rest = [layers.Dense(4, name="second")]

    def build(self, shape):
        self.first.build(shape)
        self.rest[0].build((*shape[:-1], 5))

    def call(self, x):
        return self.rest[0](self.first(x))


def composite():
    return keras.Sequential([keras.Input((6,)), Composite(name="composite"), layers.Dense(4)])


@pytest.mark.parametrize(
    ("make", "path", "inner"),
    [
        (lambda: dense(5), "hidden", lambda model: model.get_layer("hidden")),
        (nested, "backbone/hidden", lambda model: model.get_layer("backbone").get_layer("hidden")),
        (nested, "backbone", lambda model: model.get_layer("backbone")),
        (lambda: subclassed(5), "hidden", lambda model: model.hidden),
        (composite, "composite/first", lambda model: model.layers[0].first),
        (composite, "composite/second", lambda model: model.layers[0].rest[0]),
    ],
    ids=["sequential", "nested", "model as layer", "subclassed", "composite", "list"],
)
def test_any_kind_of_model_is_tapped_and_left_as_it_was(make, path, inner):
    model, (x, _) = make(), vectors(8)
    expected = ops.convert_to_numpy(model(x))
    layer = inner(model)
    attributes = set(vars(layer))
    outputs = FeatureExtractor(model, [path], "teacher")(x)
    if path != "composite/second":
        np.testing.assert_allclose(ops.convert_to_numpy(outputs[path]), ops.convert_to_numpy(layer(x)), rtol=1e-5)
    np.testing.assert_array_equal(ops.convert_to_numpy(outputs["logits"]), expected)
    assert set(vars(layer)) == attributes
    assert find_layer(model, path, "teacher") is layer


def test_a_path_to_nowhere_names_the_nearest():
    with pytest.raises(ValueError, match=r"The teacher 'net' has no layer 'stage3'.*'stage2'.*'backbone/stage3'"):
        FeatureExtractor(convolutional(2, "net"), ["stage3"], "teacher")


def test_a_shared_layer_is_refused():
    shared = layers.Dense(6, name="shared")
    inputs = keras.Input((6,))
    model = keras.Model(inputs, layers.Dense(4)(shared(shared(inputs))))
    with pytest.raises(ValueError, match="'shared' .* must fire exactly once.* fired 2 times"):
        _ = FeatureExtractor(model, ["shared"], "student").shapes


def test_a_layer_of_several_outputs_is_refused():
    inputs = keras.Input((3, 6))
    outputs = layers.LSTM(5, return_state=True, name="lstm")(inputs)
    model = keras.Model(inputs, layers.Dense(4)(outputs[0]))
    with pytest.raises(ValueError, match="'lstm' of .* must have one output tensor. Received: a (list|tuple) of 3"):
        _ = FeatureExtractor(model, ["lstm"], "student").shapes


def test_a_failing_model_is_left_as_it_was():
    model = dense(5)
    with pytest.raises(ValueError, match="shape"):
        FeatureExtractor(model, ["hidden"], "student")(np.zeros((2, 7)))
    assert "call" not in vars(model.get_layer("hidden"))


def test_shapes_of_free_sizes_and_of_whole_numbers():
    images_of_any_size = keras.Sequential(
        [keras.Input((None, None, 3)), layers.Conv2D(5, 3, name="maps"), layers.GlobalMaxPooling2D(), layers.Dense(4)]
    )
    assert FeatureExtractor(images_of_any_size, ["maps"], "student").shapes["maps"] == (30, 30, 5)
    texts = keras.Sequential(
        [keras.Input((7,), dtype="int32"), layers.Embedding(9, 5, name="words"), layers.Flatten(), layers.Dense(4)]
    )
    assert example_inputs(texts).dtype == "int32"
    assert FeatureExtractor(texts, ["words"], "student").shapes["words"] == (7, 5)


def test_features_are_single_precision():
    inputs = keras.Input((6,))
    hidden = layers.Dense(5, name="hidden", dtype="float16")(inputs)
    model = keras.Model(inputs, layers.Dense(4, dtype="float16")(hidden))
    outputs = FeatureExtractor(model, ["hidden"], "student")(vectors(2)[0])
    assert {keras.backend.standardize_dtype(output.dtype) for output in outputs.values()} == {"float32"}


def test_a_quantized_layer_is_tapped():
    model = dense(8)
    model.get_layer("hidden").quantize("int8")
    outputs = FeatureExtractor(model, ["hidden"], "teacher")(vectors(2)[0])
    assert tuple(outputs["hidden"].shape) == (2, 8)


def test_no_gradient_reaches_a_frozen_model():
    model, (x, _) = convolutional(3), images(4)
    flags = [variable.trainable for variable in model.variables]
    outputs = FeatureExtractor(model, ["pool"], "teacher").frozen(ops.convert_to_tensor(x))
    if keras.backend.backend() == "torch":
        assert not any(output.requires_grad or output.grad_fn for output in outputs.values())
    assert [variable.trainable for variable in model.variables] == flags
