"""What a stage needs to go on after a kill: {workdir}/checkpoints/<stage>/<step>/.

One checkpoint holds the trainable subtree, its moments, step, key and guard (`state`), the place
in the data (`data`), a sum of the bits of every array (`sums`) and the run's config (`config`). The
frozen parameters are those of the model that the stage started from, which is in the working
directory too and never changes. No part hangs on the number of hosts or devices.

Orbax writes beside and renames, and in a bucket, where nothing is renamed, commit_success.txt last:
what it takes for a checkpoint was whole once. What was damaged since shows in its sums, and an
older one is used.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp
from etils import epath
from orbax.checkpoint.multihost import reached_preemption

from fewvid import buckets
from fewvid.errors import UserError
from fewvid.parallel import hosts
from fewvid.training.changes import jsonable, refuse_changes
from fewvid.training.step import TrainState
from fewvid.training.workdir import COMMITTED

JSON_ITEMS = ("data", "sums", "config")
KEEP = 2


class _Manager(ocp.CheckpointManager):
    """Asks nothing of JAX itself: it would ask, in the background, for steps that are past, and
    the hosts would agree to stop at one of those.
    """

    stopping = False

    def reached_preemption(self, step: int) -> bool:
        return self.stopping


class StageCheckpoints:
    """The newest checkpoints of one stage. Saving goes on in the background; `close` waits."""

    def __init__(
        self,
        directory: buckets.Folder,
        *,
        keep: int = KEEP,
        before_save: Callable[[], None] = lambda: None,
    ) -> None:
        """before_save: called in every process before each checkpoint; what it raises ends it."""
        # epath would put the current folder before an address too
        path = directory if buckets.is_address(directory) else Path(directory).absolute()
        self.directory = epath.Path(path)
        self._before_save = before_save
        handlers: Any = {  # named here, so that metadata can be read before any save
            "state": ocp.StandardCheckpointHandler(),
            **{name: ocp.JsonCheckpointHandler() for name in JSON_ITEMS},
        }
        options = ocp.CheckpointManagerOptions(max_to_keep=keep, create=True)
        self._manager = _Manager(self.directory, options=options, item_handlers=handlers)

    def latest(self) -> int | None:
        """The newest whole step, or None where there is none yet."""
        return self._manager.latest_step()

    def save(self, step: int, state: TrainState, iterator: Any, config: dict[str, Any]) -> None:
        """Saves once the step is done and before the next batch is taken.

        Raises RuntimeError where Orbax did not take it (it returns False, and says no more).
        """
        if self.latest() == step:  # a stop right after a regular save
            return
        self._before_save()
        taken = self._manager.save(
            step,
            args=ocp.args.Composite(
                state=ocp.args.StandardSave(state),
                data=ocp.args.JsonSave(iterator.get_state()),
                sums=ocp.args.JsonSave(sums(state)),
                config=ocp.args.JsonSave(config),
            ),
            force=True,
        )
        if not taken:
            raise RuntimeError(f"no checkpoint of step {step} was written to {self.directory}")

    def restore(
        self,
        abstract: TrainState,
        iterator: Any,
        config: dict[str, Any],
        say: Callable[[str], None],
    ) -> TrainState | None:
        """The newest whole state, laid out as `abstract` says; moves `iterator` to its place.

        One that is damaged is put aside, which is said, and the one before it used; None where none
        is left. Raises UserError where it belongs to another config, or its arrays have other
        shapes.
        """
        while (step := self.latest()) is not None:
            state, data, wrong = None, {}, ""
            try:
                state, data = self._read(step, abstract, config)
            except UserError:
                raise
            except (
                Exception
            ) as error:  # Orbax and TensorStore raise whatever a broken file leads to
                if refused := self._refused(error):
                    raise refused from None
                wrong = f"{type(error).__name__}: {str(error).strip().splitlines()[0][:200]}"
            wrong = next((said for said in hosts.of_all(wrong) if said), "")
            if not wrong and state is not None:
                wrong = _other_bits(data.pop("sums"), sums(state))
            if not wrong:
                iterator.set_state(data)
                return state
            folder, aside = self.directory / str(step), self.directory / f"{step}.damaged"
            say(
                f"checkpoint {folder} is damaged, or of another version ({wrong}): it is put aside "
                f"as {aside.name}, and the one before it used"
            )
            hosts.from_leader(lambda folder=folder, aside=aside: _put_aside(folder, aside))
            self._manager.reload()
        return None

    def _read(
        self, step: int, abstract: TrainState, config: dict[str, Any]
    ) -> tuple[TrainState, dict[str, Any]]:
        folder = self.directory / str(step)
        items = {name: json.loads((folder / name / "metadata").read_text()) for name in JSON_ITEMS}
        refuse_changes(items["config"], jsonable(config), str(self.directory))
        self._check_shapes(step, abstract)
        # By the handler: the manager's restore waits for the other hosts, which may have failed.
        handler = ocp.StandardCheckpointHandler()
        args = ocp.args.StandardRestore(abstract)
        state: Any = handler.restore(folder / "state", args=args)
        return state, items["data"] | {"sums": items["sums"]}

    def _refused(self, error: Exception) -> Exception | None:
        """What a bucket refuses does not damage what is in it; a file that is not there does."""
        if not buckets.is_address(self.directory) or isinstance(error, FileNotFoundError):
            return None
        return buckets.refusal(error, self.directory)

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
        """Whether all hosts have agreed to stop here (only after jax.distributed starts).

        step: of the run, not of the stage: it may never come to be less.
        """
        self._manager.stopping = reached_preemption(step)
        return self._manager.stopping

    def wait(self) -> None:
        """Returns when every save is on disk."""
        self._manager.wait_until_finished()

    def close(self) -> None:
        """Waits, and ends the background threads."""
        self._manager.close()

    def delete(self) -> None:
        """Removes all of them: their stage is finished and stored as a model."""
        self.close()
        buckets.remove(self.directory)


@jax.jit
def _sums(leaves: list[jax.Array]) -> list[jax.Array]:
    def of(leaf: jax.Array) -> jax.Array:
        kind = {1: jnp.uint8, 2: jnp.uint16, 4: jnp.uint32}[leaf.dtype.itemsize]
        return jax.lax.bitcast_convert_type(leaf, kind).sum(dtype=jnp.uint32)

    return [of(leaf) for leaf in leaves]


def sums(tree: Any) -> dict[str, int]:
    """The bits of each array as whole numbers, summed modulo 2**32, by path.

    Whole numbers have no rounding: the order, the mesh and the number of hosts do not matter.
    """
    leaves = _leaves(tree)
    found = jax.device_get(_sums([leaf for _, leaf in leaves]))
    return {_name(at): int(value) for (at, _), value in zip(leaves, found, strict=True)}


def _other_bits(stored: dict[str, int], found: dict[str, int]) -> str:
    wrong = [name for name in found if stored.get(name) != found[name]]
    return f"other bits than were saved in {len(wrong)} arrays, as {wrong[0]}" if wrong else ""


def _leaves(tree: Any) -> list[tuple[Any, Any]]:
    return jax.tree_util.tree_leaves_with_path(tree, is_leaf=lambda x: hasattr(x, "shape"))


def _name(at: Any) -> str:
    # NamedTuples come back from disk as dicts or lists: compare the bare names.
    parts = (getattr(k, "key", getattr(k, "name", getattr(k, "idx", None))) for k in at)
    return "/".join(str(part) for part in parts)


def _put_aside(folder: epath.Path, aside: epath.Path) -> None:
    """Renames a checkpoint so that none is lost that another version, or a person, could read."""
    buckets.remove(aside)
    if buckets.is_address(folder):  # copies all, and then takes away what makes it a checkpoint
        buckets.copy(folder, aside)
        buckets.remove(folder / COMMITTED)
        buckets.remove(folder)
    else:
        folder.rename(aside)
