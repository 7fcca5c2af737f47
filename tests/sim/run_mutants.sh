#!/bin/sh
# Does the simulation see what it is for? See mutants.py, which this is the short name of.
exec python3 "$(dirname "$0")/mutants.py" "$@"
