"""A distribution whose module fails to import."""

import a_client_that_is_not_installed  # type: ignore[import-not-found]  # noqa: F401
