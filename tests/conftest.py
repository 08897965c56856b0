"""Settings of all tests."""

import pytest
from hypothesis import HealthCheck, settings

# no deadline and the same examples everywhere: a busy machine must not turn a property red
settings.register_profile("course", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("course")


@pytest.fixture
def shown():
    """What a notebook shows of an object that displays itself: a function from the object to its outputs."""
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output

    def outputs(thing):
        InteractiveShell.instance()
        try:
            with capture_output() as captured:
                thing._ipython_display_()
        finally:
            InteractiveShell.clear_instance()
        return captured.outputs

    return outputs
