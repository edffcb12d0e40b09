"""ragguard over HTTP: routes that gateways and other guards already call."""
