"""Keycloak's RealmRepresentation: the fields that many realms set, and those that rules speak about."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from keycloak_operator.resources.read_only import MIRRORED
from keycloak_operator.resources.realm_refusals import RealmRefusals
from keycloak_operator.resources.representation import Attributes, Representation, StringMap, StringSet
from keycloak_operator.resources.rules import Rule, immutable, masked

Seconds = Annotated[int, Field(ge=0, le=2147483647)]

AnyRealmName = Annotated[
    str,
    Field(max_length=255, pattern="^[A-Za-z0-9._~-]{1,255}$"),
    # Both would be taken out of a path on the way to Keycloak, and the request would reach something else.
    Rule("!(self in ['.', '..'])", "cannot be a relative path", lambda name: name not in {".", ".."}),
]
RealmName = Annotated[AnyRealmName, immutable("the name of the realm")]
SmtpServer = Annotated[
    StringMap,
    masked("password", "must not hold the password; use spec.smtpPasswordSecret"),
    masked("authTokenClientSecret", "must not hold authTokenClientSecret; leave it out, and set it in Keycloak"),
]


class DefaultRole(Representation):
    """The role that every user has, as Keycloak shows it."""

    name: Annotated[str, Field(max_length=512)] | None = None
    """Name of the role."""


class RealmRepresentation(RealmRefusals):
    """A realm as Keycloak's RealmRepresentation. Fields that are not listed go through to Keycloak as they are. What
    Keycloak alone sets, such as id, defaultRole and keycloakVersion, is ignored."""

    realm: RealmName
    """Name of the realm in Keycloak and in its URLs."""
    enabled: bool | None = None
    """Whether users can log in."""
    display_name: str | None = None
    """Name shown to people."""
    display_name_html: str | None = None
    """Name shown on the login page, as HTML."""
    ssl_required: Literal["none", "external", "all"] | None = None
    """From where HTTPS is a must: from nowhere, from public addresses, or from everywhere."""
    registration_allowed: bool | None = None
    """Whether people may sign up by themselves."""
    registration_email_as_username: bool | None = None
    """Whether who signs up has the e-mail address for a user name."""
    remember_me: bool | None = None
    """Whether a login may outlast the browser."""
    verify_email: bool | None = None
    """Whether an e-mail address has to be confirmed."""
    login_with_email_allowed: bool | None = None
    """Whether the e-mail address will do in place of the user name."""
    duplicate_emails_allowed: bool | None = None
    """Whether several users may share an e-mail address."""
    reset_password_allowed: bool | None = None
    """Whether the login page helps out when a password is forgotten."""
    edit_username_allowed: bool | None = None
    """Whether users may rename themselves."""
    brute_force_protected: bool | None = None
    """Whether repeated failures lock a user out."""
    failure_factor: Annotated[int, Field(ge=0)] | None = None
    """How many failures that takes."""
    access_token_lifespan: Seconds | None = None
    """Seconds that an access token is valid."""
    sso_session_idle_timeout: Seconds | None = None
    """Seconds without a request after which a session ends."""
    sso_session_max_lifespan: Seconds | None = None
    """Seconds after which a session ends in any case."""
    login_theme: str | None = None
    """Theme of the login pages."""
    account_theme: str | None = None
    """Theme of the account console."""
    admin_theme: str | None = None
    """Theme of the admin console."""
    email_theme: str | None = None
    """Theme of the mails."""
    internationalization_enabled: bool | None = None
    """Whether pages come in the reader's language."""
    supported_locales: StringSet | None = None
    """Languages to choose from."""
    default_locale: str | None = None
    """Language when none fits."""
    password_policy: str | None = None
    """Demands on passwords, in Keycloak's notation: length(12) and notUsername(undefined), for example."""
    smtp_server: SmtpServer | None = None
    """How mails are sent: host, port, from, auth, user, starttls, ssl, all of them strings. Not the password."""
    browser_security_headers: StringMap | None = None
    """Security headers of the answers to browsers."""
    attributes: Attributes | None = None
    """Attributes of the realm; those that are not named here stay as they are."""
    events_enabled: bool | None = None
    """Whether logins and the like are kept."""
    events_listeners: StringSet | None = None
    """Who is told about events."""
    admin_events_enabled: bool | None = None
    """Whether changes by administrators are kept."""

    default_role: DefaultRole | None = None
    """Ignored, as Keycloak's own answer has it; another role than default-roles-<realm> is refused."""
    client_session_idle_timeout: Seconds | None = None
    """Seconds without a request after which a session of a client ends; 0 for those of the realm."""
    client_session_max_lifespan: Seconds | None = None
    """Seconds after which a session of a client ends in any case; 0 for those of the realm."""
    client_offline_session_idle_timeout: Seconds | None = None
    """Seconds without a request after which an offline session of a client ends; 0 for those of the realm."""
    client_offline_session_max_lifespan: Seconds | None = None
    """Seconds after which an offline session of a client ends in any case; 0 for those of the realm."""
    oauth2_device_code_lifespan: Seconds | None = None
    """Seconds that a device code is valid."""
    oauth2_device_polling_interval: Seconds | None = None
    """Seconds between two requests of a device."""
    otp_policy_code_reusable: bool | None = None
    """Whether a one-time password can be used again."""
    scim_api_enabled: bool | None = None
    """Whether the SCIM API is there."""


OWN_DEFAULT_ROLE = Rule(
    "!has(self.defaultRole) || !has(self.defaultRole.name)"
    " || self.defaultRole.name == 'default-roles-' + self.realm.lowerAscii()",
    "Keycloak ignores another default role than the realm's own; leave it out, and give roles to new users by the "
    "composites of that role, in Keycloak",
    lambda realm: (
        realm.default_role is None or realm.default_role.name in {None, f"default-roles-{realm.realm.lower()}"}
    ),
    field=".defaultRole",
)


def _declared_as_field(attribute: str, field: str) -> Rule:
    return Rule(
        f"!has(self.attributes) || !('{attribute}' in self.attributes) || has(self.{field})",
        f"the attribute {attribute} shows the field {field}, and Keycloak ignores it; declare the field",
        lambda realm: attribute not in (realm.attributes or {}) or field in realm.declared(),
        field=".attributes",
    )


FIELDS_NOT_ATTRIBUTES = tuple(_declared_as_field(*names) for names in MIRRORED.items())
