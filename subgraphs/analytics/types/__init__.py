"""The GraphQL types of analytics, one file for each topic.

    site            what analytics adds to Site
    site_analytics  the counts of a site: totals, points, groups
    notifications   what analytics adds to Notification
    ab_tests        what analytics adds to ABTest
    metrics         enums, counters, points and totals
    performance     rates, performance and funnel
    events          source events and notification events
    activity        the messages of the live subscription
    visible_site    the check that the viewer may see a site

Fields load data through loaders alone and open no session. Resolvers and the schema may enter.
"""
