"""Commands on a tiny ring, as they run in each of several processes; the environment says which.

``python two_processes.py FILE`` runs the commands in FILE, a JSON list of lists of arguments, one
after the other, and ends with the code of the first that fails.
"""

import json
import sys
from pathlib import Path

from sde_jax.command_line.main import main

if __name__ == "__main__":
    for command in json.loads(Path(sys.argv[1]).read_text()):
        main(command)
