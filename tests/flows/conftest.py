"""What the flows' tests share."""

import pytest

pytest.register_assert_rewrite("tests.flows.kit")
