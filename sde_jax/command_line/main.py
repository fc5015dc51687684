"""The command ``sde-jax``: see ``sde-jax --help``."""

import json
import sys
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

from sde_jax.arrays import single_precision
from sde_jax.command_line import (
    anomalies,
    compare,
    data,
    edit,
    evaluate,
    exporting,
    importing,
    label,
    likelihood,
    listing,
    quickstart,
    sample,
    train,
    watch,
    weights,
)
from sde_jax.command_line.compiled_programs import forget_unreadable, keep_compiled
from sde_jax.command_line.completion import print_completion
from sde_jax.command_line.failures import exit_code, words_of
from sde_jax.command_line.parsing import parse, refuse
from sde_jax.command_line.streams import standard_streams
from sde_jax.editing.options import EditOptions
from sde_jax.reporting import listed
from sde_jax.training.processes import is_first


class Command(NamedTuple):
    """The options of a command and the function that runs it."""

    options: type
    run: Callable[[Any], dict[str, Any]]
    parses: bool = False
    """True if the function parses the arguments itself, with defaults that depend on them."""


COMMANDS: dict[str, Command] = {
    "list": Command(listing.List, listing.main),
    "train": Command(train.Train, train.main, parses=True),
    "watch": Command(watch.Watch, watch.main),
    "sample": Command(sample.Sample, sample.main, parses=True),
    "label": Command(label.Label, label.main),
    "likelihood": Command(likelihood.Likelihoods, likelihood.main, parses=True),
    "anomalies": Command(anomalies.Anomalies, anomalies.main),
    "evaluate": Command(evaluate.Evaluate, evaluate.main, parses=True),
    "compare": Command(compare.Compare, compare.main),
    "edit": Command(EditOptions, edit.main),
    "import": Command(importing.Import, importing.main),
    "export": Command(exporting.Export, exporting.main),
    "data": Command(data.Data, data.main, parses=True),
    "weights": Command(weights.Weights, weights.main),
    "quickstart": Command(quickstart.Quickstart, quickstart.main),
}

USAGE = """\
usage: sde-jax COMMAND [OPTIONS]

  list                what there is to train and to study
  train NAME          train an experiment in a run directory
  watch RUN           see how a run is doing
  sample RUN          draw samples from a run
  label SAMPLES.npz   write samples in a folder for each label that a classifier predicts
  likelihood RUN      measure the likelihood of data under a run
  anomalies RUN       tell held-out images from others by their likelihood
  evaluate RUN        measure a run's samples and likelihood, with a report
  compare RUN RUN     put the evaluations of several runs side by side
  edit RUN            draw what is asked for: a class, a missing part, a colour, a detail
  import FILE         make a run of a published checkpoint
  export RUN          write a run's weights for other programs
  data show SOURCE    what is in a folder, a zip or a prepared set of images
  data statistics SOURCE
                      what metrics need to know of a data set
  weights NETWORK     make the weights that metrics need ready for use
  quickstart          train on handwritten digits, sample, and measure, in minutes

COMMAND --help explains every option; after a RUN, with the defaults of its experiment.
`sde-jax --print-completion bash` (zsh, fish) prints a script that completes commands and options:
eval "$(sde-jax --print-completion bash)". Results are one JSON object, the last line on stdout.
Errors are one line; with `python -X dev -m sde_jax` they come with a traceback.
"""


def main(args: list[str] | None = None) -> int:
    """Runs a command and returns 0. A refusal exits with 2; an incomplete result, or a failure of
    the machine such as a full disk, with 1; a lost reader of stdout, quietly, with 141.

    Args:
      args: the command and its arguments; default: those of the process.
    """
    args = sys.argv[1:] if args is None else args
    return run(dispatch, args)


def dispatch(args: list[str]) -> dict[str, Any] | int:
    """Runs a command, and returns its results or an exit code."""
    if not args or args[0] in ("-h", "--help"):
        print(USAGE, end="")
        return 0 if args else 2
    if args[0] == "--print-completion":
        options = {name: command.options for name, command in COMMANDS.items()}
        return print_completion(args[1:], options)
    if args[0] not in COMMANDS:
        refuse(f"no command {args[0]!r}: there are {', '.join(COMMANDS)}.")
    command, program = COMMANDS[args[0]], f"sde-jax {args[0]}"
    if command.parses:
        return command.run(args[1:])
    return command.run(parse(command.options, args[1:], program))


@standard_streams()
def run(command: Callable[[list[str]], dict[str, Any] | int], args: list[str]) -> int:
    """Runs a command, prints its results as a line of JSON, and returns 0; exits as `main` does."""
    keep_compiled()
    try:
        with warnings.catch_warnings(), single_precision():
            warnings.showwarning = show_warning
            results = command(args)
        if isinstance(results, int):
            return results
        if is_first():
            print(json.dumps(results), flush=True)
    except KeyboardInterrupt:
        refuse("interrupted.", code=130)
    except Exception as error:
        code = exit_code(error)
        if code is None or (sys.flags.dev_mode and code == 2):
            raise
        refuse(words_of(error), code=code)
    if results.get("failed"):
        failed = listed(results["failed"], separator=", ")
        refuse(f"no result for example {failed}: its solve failed.", code=1)
    return 0


def show_warning(message: Warning | str, *where: Any, **source: Any) -> None:
    """Prints a warning in one line, without its place in the code."""
    forget_unreadable(str(message))
    print(f"warning: {message}", file=sys.stderr)
