"""The routes by subject; each module has one router, or one for each role it needs."""
