"""The live side of analytics, in Redis: counters, visitors on a site, recent activity."""
