"""Knowledge out of a cache, joined to the training data of a distiller."""

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from keras_smskd.base.batch import Batch
from keras_smskd.base.outputs import OF_TEACHERS, REFERENCE, OutputsOfReference, OutputsOfTeachers
from keras_smskd.base.weighted_terms import WeightedTerms
from keras_smskd.cache import Arrays, Batches, Cache, Outputs, as_cache, described, source_of
from keras_smskd.features import LOGITS


class Caching(WeightedTerms):
    """A distiller whose steps may take the outputs of teachers and reference from a cache."""

    also_cached: Sequence[str] = ()
    """Layers of the teachers that other stages read, cached in the same pass."""

    @contextmanager
    def _with_knowledge(self, x: Any, cache: Any, batch_size: int | None, arguments: Any) -> Iterator[dict[str, Any]]:
        """Yields the arguments of `fit` for data with what the cache knows of them, or as they are without a cache."""
        cache = as_cache(cache)
        if cache is None:
            yield {"x": x, **arguments}
            return
        if self.views > 1:
            raise ValueError(
                f"`cache` cannot hold what {self.method} reads: views of a sample that are made in the training step. "
                "Train it without `cache`."
            )
        source = source_of(x, batch_size or 32, arguments.get("steps_per_epoch"), self._inputs_of)
        outputs = self._outputs_for(source, cache, arguments.get("verbose"))
        try:
            yield {**arguments, **source.joined(outputs, self._attach)}
        except Exception as error:
            raise getattr(source, "error", None) or error from None

    def _outputs_for(self, source: Arrays | Batches, cache: Cache, verbose: Any) -> list[Outputs]:
        """What the models output for a source, computed as far as it is not known."""
        outputs = [self._outputs_of_teachers(cache, source, verbose)]
        if self._reference is not None:
            of_reference = Cache().outputs_of(OutputsOfReference(self._reference), [REFERENCE], REFERENCE)
            cache.fill(of_reference, source, "reference", verbose)
            outputs.append(of_reference)
        return outputs

    def _outputs_of_teachers(self, cache: Cache, source: Arrays | Batches, verbose: Any) -> Outputs:
        """What this distiller reads of the teachers, computed together with what other stages read."""
        key = cache.key(self.teachers, described(self.teacher_preprocessing))
        own = [OF_TEACHERS + path for path in dict.fromkeys([LOGITS, *self._teachers.paths])]
        model = OutputsOfTeachers(self._teachers.reading([*self._teachers.paths, *self.also_cached]))
        names = dict.fromkeys([*own, *(OF_TEACHERS + path for path in self.also_cached)])
        cache.fill(
            cache.outputs_of(model, list(names), key), source, "teachers" if self.teachers[1:] else "teacher", verbose
        )
        return cache.outputs_of(model, own, key)

    def _inputs_of(self, x: Any) -> Any:
        return Batch.of(x, self.needs_index).inputs

    def _attach(self, x: Any, knowledge: dict[str, Any]) -> Any:
        return dataclasses.replace(Batch.of(x, self.needs_index), knowledge=knowledge).packed()
