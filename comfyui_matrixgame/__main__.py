"""`python -m comfyui_matrixgame` is `matrixgame`."""

import sys

from .terminal.main import main

sys.exit(main())
