"""What a stage needs to go on after a kill: {workdir}/checkpoints/<stage>/<step>/.

One checkpoint holds the trainable subtree, its moments, step and key (`state`), the place in the
data (`data`) and the run's config (`config`). The frozen parameters are those of the model that
the stage started from, which is in the working directory too and never changes.
Orbax writes beside and renames: a directory that has its final name is whole.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import grain.checkpoint
import jax
import orbax.checkpoint as ocp

from fewvid.errors import UserError
from fewvid.training.stage import completed, differences
from fewvid.training.step import TrainState


class StageCheckpoints:
    """The newest checkpoints of one stage. Saving goes on in the background; `close` waits."""

    def __init__(self, directory: Path, *, keep: int = 2) -> None:
        self.directory = directory.absolute()
        handlers: Any = {  # named here, so that metadata can be read before any save
            "state": ocp.StandardCheckpointHandler(),
            "data": grain.checkpoint.CheckpointHandler(),
            "config": ocp.JsonCheckpointHandler(),
        }
        options = ocp.CheckpointManagerOptions(max_to_keep=keep, create=True)
        self._manager = ocp.CheckpointManager(
            self.directory, options=options, item_handlers=handlers
        )

    def latest(self) -> int | None:
        """The newest whole step, or None where there is none yet."""
        return self._manager.latest_step()

    def save(self, step: int, state: TrainState, iterator: Any, config: dict[str, Any]) -> None:
        """Saves once the step is done and before the next batch is taken.

        Raises RuntimeError where Orbax did not take it (it returns False, and says no more).
        """
        if self.latest() == step:  # a stop right after a regular save
            return
        taken = self._manager.save(
            step,
            args=ocp.args.Composite(
                state=ocp.args.StandardSave(state),
                data=grain.checkpoint.CheckpointSave(iterator),
                config=ocp.args.JsonSave(config),
            ),
            force=True,
        )
        if not taken:
            raise RuntimeError(f"no checkpoint of step {step} was written to {self.directory}")

    def restore(self, abstract: TrainState, iterator: Any, config: dict[str, Any]) -> TrainState:
        """The newest state, laid out as `abstract` says; moves `iterator` to its place as well.

        Raises UserError where it belongs to another config, or its arrays have other shapes.
        """
        step = self.latest()
        assert step is not None, "look at latest() before restoring"
        self._check_shapes(step, abstract)
        found: Any = self._manager.restore(
            step,
            args=ocp.args.Composite(
                state=ocp.args.StandardRestore(abstract),
                data=grain.checkpoint.CheckpointRestore(iterator),
                config=ocp.args.JsonRestore(),
            ),
        )
        if changed := differences(completed(found.config), jsonable(config)):
            raise UserError(f"{self.directory} is of another config: {'; '.join(changed)}")
        return found.state

    def _check_shapes(self, step: int, abstract: TrainState) -> None:
        # Orbax refuses another shape too, but with hundreds of lines.
        stored = self._manager.item_metadata(step).state.tree
        stored = {_name(at): tuple(leaf.shape) for at, leaf in _leaves(stored)}
        wanted = {_name(at): tuple(leaf.shape) for at, leaf in _leaves(abstract)}
        wrong = [
            f"{name} is {stored.get(name, 'missing')}, wanted {wanted.get(name, 'nothing')}"
            for name in sorted(stored.keys() | wanted.keys())
            if stored.get(name) != wanted.get(name)
        ]
        if wrong:
            raise UserError(
                f"checkpoint {self.directory / str(step)} does not fit this model "
                f"({len(wrong)} arrays); first: {wrong[0]}. Use a fresh --workdir"
            )

    def preempted(self, step: int) -> bool:
        """Whether all hosts have agreed to stop here (only after jax.distributed starts)."""
        return self._manager.reached_preemption(step)

    def wait(self) -> None:
        """Returns when every save is on disk."""
        self._manager.wait_until_finished()

    def close(self) -> None:
        """Waits, and ends the background threads."""
        self._manager.close()

    def delete(self) -> None:
        """Removes all of them: their stage is finished and stored as a model."""
        self.close()
        shutil.rmtree(self.directory, ignore_errors=True)


def jsonable(config: Any) -> Any:
    """Tuples to lists, as JSON gives them back."""
    if isinstance(config, dict):
        return {key: jsonable(value) for key, value in config.items()}
    return [jsonable(value) for value in config] if isinstance(config, list | tuple) else config


def _leaves(tree: Any) -> list[tuple[Any, Any]]:
    return jax.tree_util.tree_leaves_with_path(tree, is_leaf=lambda x: hasattr(x, "shape"))


def _name(at: Any) -> str:
    # NamedTuples come back from disk as dicts or lists: compare the bare names.
    parts = (getattr(k, "key", getattr(k, "name", getattr(k, "idx", None))) for k in at)
    return "/".join(str(part) for part in parts)
