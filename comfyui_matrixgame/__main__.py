"""`python -m comfyui_matrixgame` is `matrixgame`."""

import sys

from .cli import main

sys.exit(main())
