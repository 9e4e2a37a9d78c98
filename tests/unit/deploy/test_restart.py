"""deploy.restart: what it says when there is nothing to restart; the real thing is tests/e2e/test_stack_restart.py."""

import os
from pathlib import Path

import pytest

from deploy import stack
from deploy.restart import RestartFailed, restart


def test_where_nothing_runs_it_says_so(tmp_path: Path) -> None:
    """No record, and the record of a stack that has stopped."""
    with pytest.raises(RestartFailed, match="no stack in"):
        restart(tmp_path, 1)
    record = stack.Stack(
        balancers=(),
        nodes=(),
        redis="",
        store="",
        state=str(tmp_path),
        workers=(),
        autoscaler=None,
        servers=(),
        supervisor=stack.Process(os.getpid()),
    )
    stack.write(record, tmp_path)
    with pytest.raises(RestartFailed, match="nothing runs"):
        restart(tmp_path, 1)
