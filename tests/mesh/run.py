"""Runs a command of LOOM or Heddle: run.py heddle|loom COMMAND [OPTIONS].

Their own command line cannot run a pipeline: its log printer fails at a field that the pipeline logs. This is the same
command line with logs as JSON.
"""

import importlib
import sys

import structlog

package = sys.argv.pop(1)
main = importlib.import_module(f"{package}.cli.main")
structlog.configure(processors=[structlog.processors.TimeStamper(fmt="iso"), structlog.processors.JSONRenderer()])
main.cli()
