"""The GraphQL types of notifications: one file a topic, gathered here for the resolvers.

`notification` imports `ab_test` and `claim`. These refer back to it lazily: the types form a cycle.
"""

from subgraphs.notifications.types.ab_test import ABTest
from subgraphs.notifications.types.claim import Claim
from subgraphs.notifications.types.inputs import CreateABTestInput, CreateNotificationInput
from subgraphs.notifications.types.notification import Notification

__all__ = ["ABTest", "Claim", "CreateABTestInput", "CreateNotificationInput", "Notification"]
