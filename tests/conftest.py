"""Settings of all tests."""

from hypothesis import HealthCheck, settings

# no deadline and the same examples everywhere: a busy machine must not turn a property red
settings.register_profile("course", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("course")
