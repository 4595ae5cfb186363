"""The program `matrixgame`: a file for each command."""
