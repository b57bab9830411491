"""Knowledge out of a cache, joined to the training data of a distiller."""

import dataclasses
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from keras_smskd.base.epoch_counter import in_front
from keras_smskd.base.outputs import OF_TEACHERS, REFERENCE, OutputsOfTeachers, outputs_of_reference, stacked
from keras_smskd.base.weighted_terms import WeightedTerms
from keras_smskd.cache import Arrays, Batches, Cache, Outputs, as_cache
from keras_smskd.features import LOGITS

PROCESS = uuid.uuid4().hex


class Caching(WeightedTerms):
    """A distiller whose steps may take the outputs of teachers and reference from a cache."""

    also_cached: Sequence[str] = ()
    """Layers of the teachers that other stages read, cached in the same pass."""

    @contextmanager
    def _with_knowledge(self, cache: Any, arguments: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Yields the arguments of `fit` for data with what the cache knows of them, or as they are without a cache."""
        cache = as_cache(cache)
        if cache is None:
            yield arguments
            return
        self.check_cacheable()
        source = cache.source_of(arguments, self._inputs_of)
        outputs = self._outputs_for(source, cache, arguments["verbose"])
        try:
            arguments = {**arguments, **source.joined(outputs, self._attach)}
            yield {**arguments, "callbacks": in_front(arguments["callbacks"], *source.callbacks)}
        except Exception:
            if source.error is not None:
                raise source.error from None
            raise

    def check_cacheable(self) -> None:
        """Raises if the method reads what no cache can hold."""
        if self.views > 1:
            raise ValueError(
                f"`cache` cannot hold what {self.method} reads: views of a sample that are made in the training step. "
                "Train without `cache`."
            )

    def _outputs_for(self, source: Arrays | Batches, cache: Cache, verbose: Any) -> list[Outputs]:
        """What the models output for a source, computed as far as it is not known."""
        outputs = [self._outputs_of_teachers(cache, source, verbose)]
        if self._reference is not None:
            model = outputs_of_reference(self._reference)
            outputs.append(Cache().outputs_of(model, REFERENCE, {REFERENCE: np.empty(0)}))
            cache.fill(outputs[1], source, "reference", verbose)
        return outputs

    def _outputs_of_teachers(self, cache: Cache, source: Arrays | Batches, verbose: Any) -> Outputs:
        """What this distiller reads of the teachers, computed together with what other stages read."""
        is_preprocessed = self.teacher_preprocessing is not None
        own, key = self._teachers.paths, cache.key(self.teachers, is_preprocessed, *self._unseen_by_probe())
        teachers = self._teachers.reading([*own, *self.also_cached])
        model, probe = OutputsOfTeachers(teachers), stacked([extractor.example for extractor in teachers.extractors])
        of = "teacher" if len(self.teachers) == 1 else "teachers"
        outputs = cache.outputs_of(model, key, probe)
        cache.fill(outputs, source, of, verbose, verify=is_preprocessed)
        outputs.table.names = [OF_TEACHERS + path for path in (LOGITS, *own)]
        return outputs

    def _unseen_by_probe(self) -> tuple[Any, ...]:
        """What tells a preprocessing apart that no probe went through, since the student leaves its input size free."""
        seen = self.teacher_preprocessing is None or self._teachers.extractors[0].inputs is not None
        return () if seen else (PROCESS, id(self.teacher_preprocessing))

    def _inputs_of(self, x: Any) -> Any:
        return self._parts_of(x).inputs

    def _attach(self, x: Any, knowledge: dict[str, Any], inputs: Any = None) -> Any:
        batch = self._parts_of(x)
        inputs = batch.inputs if inputs is None else inputs
        return dataclasses.replace(batch, inputs=inputs, knowledge=knowledge).packed()
