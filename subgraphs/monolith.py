"""All six subgraphs in one process, each still at its own path: for one machine."""

from subgraphs.analytics.schema import schema as analytics
from subgraphs.billing.schema import schema as billing
from subgraphs.integrations.schema import schema as integrations
from subgraphs.kernel.graphql.app import create_app
from subgraphs.notifications.schema import schema as notifications
from subgraphs.sites.schema import schema as sites
from subgraphs.users.schema import schema as users

app = create_app(
    {
        "users": users,
        "sites": sites,
        "notifications": notifications,
        "analytics": analytics,
        "integrations": integrations,
        "billing": billing,
    }
)
