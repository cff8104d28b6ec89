"""The inputs of the mutations of notifications."""

import strawberry

from subgraphs.notifications.types.notification import NotificationType


@strawberry.input
class TemplateInput:
    """The text and the style of a notification's claims."""

    body: str | None = strawberry.field(
        default=None,
        description="Liquid with the variables first_name, city, country, product and quantity; "
        "at most 1,000 characters. Without it the default text is used.",
    )
    css: str | None = strawberry.field(
        default=None, description="A style sheet of at most 10,000 characters."
    )


@strawberry.input
class CreateNotificationInput:
    """A new notification of a site."""

    site_id: strawberry.ID
    name: str = strawberry.field(description="1 to 200 characters.")
    type: NotificationType
    template: TemplateInput | None = strawberry.field(
        default=None, description="Without it the default template is used."
    )


@strawberry.input
class ABTestVariantInput:
    """A new variant of an A/B test."""

    name: str = strawberry.field(description="1 to 200 characters, unique within the test.")
    body: str | None = strawberry.field(
        default=None,
        description="The variant's text, in Liquid; without it the notification's own text.",
    )
    weight: int = strawberry.field(
        default=1,
        description="The variant's share of the claims, relative to the sum of the test's weights; "
        "1 to 100.",
    )


@strawberry.input
class CreateABTestInput:
    """A new A/B test of a notification."""

    notification_id: strawberry.ID
    name: str = strawberry.field(description="1 to 200 characters.")
    variants: list[ABTestVariantInput] = strawberry.field(description="2 to 10 variants.")
