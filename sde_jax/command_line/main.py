"""The command ``sde-jax``: see ``sde-jax --help``.

A command's options are parsed before anything is imported that computes.
"""

import contextlib
import importlib
import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from sde_jax import training
from sde_jax.arguments import UsageError
from sde_jax.command_line.failures import exit_code, words_of
from sde_jax.command_line.naming import check_name
from sde_jax.command_line.parsing import check_first, parse, refuse
from sde_jax.command_line.stored_settings import stored_settings
from sde_jax.command_line.streams import standard_streams
from sde_jax.lines import listed


class Command(NamedTuple):
    """The place of a command: modules of this package, by their names."""

    module: str
    """The module whose ``main`` runs it, by its options or, with ``first``, by its arguments."""
    options: str
    """The class of its options, in the module of the same name in ``options``."""
    first: str = ""
    """The argument that the defaults of its options depend on, which must come first."""

    computes: bool = True

    @property
    def parser(self) -> Any:
        """The module of the options, imported on first use."""
        return importlib.import_module(f"{__package__}.options.{self.module}")

    def kind(self) -> type:
        """Imports the class of the options."""
        kind: type = getattr(self.parser, self.options)
        return kind

    def run(self, options: Any) -> dict[str, Any]:
        """Imports the command and runs it."""
        with contextlib.ExitStack() as context:
            if self.computes:
                programs = importlib.import_module(f"{__package__}.compiled_programs")
                context.enter_context(programs.computing())
            module = importlib.import_module(f"{__package__}.{self.module}")
            results: dict[str, Any] = module.main(options)
        return results


COMMANDS: dict[str, Command] = {
    "list": Command("listing", "List", computes=False),
    "train": Command("train", "Train", first="NAME"),
    "watch": Command("watch", "Watch", computes=False),
    "sample": Command("sample", "Sample", first="RUN"),
    "label": Command("label", "Label"),
    "likelihood": Command("likelihood", "Likelihoods", first="RUN"),
    "anomalies": Command("anomalies", "Anomalies"),
    "evaluate": Command("evaluate", "Evaluate", first="RUN"),
    "compare": Command("compare", "Compare"),
    "edit": Command("edit", "EditOptions"),
    "import": Command("importing", "Import"),
    "export": Command("exporting", "Export"),
    "data show": Command("data_show", "Show"),
    "data statistics": Command("data_statistics", "Statistics"),
    "weights": Command("weights", "Weights"),
    "quickstart": Command("quickstart", "Quickstart"),
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
        kinds = {name: command.kind() for name, command in COMMANDS.items()}
        completion = importlib.import_module(f"{__package__}.completion")
        return int(completion.print_completion(args[1:], kinds))
    words = 2 if args[0] == "data" else 1
    name, rest = " ".join(args[:words]), args[words:]
    if args[0] == "data" and name not in COMMANDS:
        raise UsageError(
            "data needs `show` or `statistics`, and a SOURCE: `data show --help` and "
            "`data statistics --help` explain."
        )
    if name not in COMMANDS:
        refuse(f"no command {name!r}: there are {', '.join(COMMANDS)}.")
    command, program = COMMANDS[name], f"sde-jax {name}"
    if command.first == "NAME":
        check_name(rest)
    elif command.first == "RUN":
        check_first(command.kind(), rest, program)
        stored = stored_settings(Path(rest[0]))
        if stored is not None:
            command.parser.parsed(rest, Path(rest[0]), stored)
    return command.run(rest if command.first else parse(command.kind(), rest, program))


@standard_streams()
def run(command: Callable[[list[str]], dict[str, Any] | int], args: list[str]) -> int:
    """Runs a command, prints its results as a line of JSON, and returns 0; exits as `main` does."""
    try:
        with warnings.catch_warnings():
            warnings.showwarning = show_warning
            results = command(args)
        if isinstance(results, int):
            return results
        if "jax" not in sys.modules or training.is_first():
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
    print(f"warning: {message}", file=sys.stderr)
