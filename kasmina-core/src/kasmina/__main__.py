"""``python -m kasmina``: the command line, without the working folder on the module path.

Python puts the folder in which it was started first, so that a file that lies about there would stand in for a library,
and a distribution's metadata there would be a plugin. The installed command `kasmina` has no such entry.
"""

import os
import sys

if not sys.flags.safe_path and sys.path and sys.path[0] in ("", os.getcwd()):
    del sys.path[0]

from kasmina.cli.main import main  # noqa: E402  (only now is the path what it shall be)

if __name__ == "__main__":
    sys.exit(main())
