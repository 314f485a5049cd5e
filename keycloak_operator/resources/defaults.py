"""What Keycloak makes of a realm or a client of which nothing is said but its name.

Measured on Keycloak 26.5 and 26.7, and measured again by a test. It is what a field goes back to when it leaves a spec,
and what an export can leave out.

A client is one as this operator creates it: with its protocol, without which Keycloak leaves some attributes away.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

#: In place of a default: there is none, it is not known, or it depends on what cannot be seen from here, as the client
#: scopes of a client do on those of its realm.
MISSING: Final = object()

#: Paths whose default is another one in another version of Keycloak. The value here is right for all of them, and shown
#: by some for something that was said.
DIFFERS: Final = frozenset({("webAuthnPolicyPasswordlessRequireResidentKey",)})

_REALM: Final[Mapping[str, Any]] = {
    "accessCodeLifespan": 60,
    "accessCodeLifespanLogin": 1800,
    "accessCodeLifespanUserAction": 300,
    "accessTokenLifespan": 300,
    "accessTokenLifespanForImplicitFlow": 900,
    "accountTheme": "",
    "actionTokenGeneratedByAdminLifespan": 43200,
    "actionTokenGeneratedByUserLifespan": 300,
    "adminEventsDetailsEnabled": False,
    "adminEventsEnabled": False,
    "adminPermissionsEnabled": False,
    "adminTheme": "",
    "attributes": {
        "cibaAuthRequestedUserHint": "login_hint",
        "cibaBackchannelTokenDeliveryMode": "poll",
        "cibaExpiresIn": "120",
        "cibaInterval": "5",
        "parRequestUriLifespan": "60",
    },
    "browserFlow": "browser",
    "browserSecurityHeaders": {
        "contentSecurityPolicy": "frame-src 'self'; frame-ancestors 'self'; object-src 'none';",
        "contentSecurityPolicyReportOnly": "",
        "referrerPolicy": "no-referrer",
        "strictTransportSecurity": "max-age=31536000; includeSubDomains",
        "xContentTypeOptions": "nosniff",
        "xFrameOptions": "SAMEORIGIN",
        "xRobotsTag": "none",
    },
    "bruteForceProtected": False,
    "bruteForceStrategy": "MULTIPLE",
    "clientAuthenticationFlow": "clients",
    "clientOfflineSessionIdleTimeout": 0,
    "clientOfflineSessionMaxLifespan": 0,
    "clientPolicies": {
        "policies": [],
    },
    "clientProfiles": {
        "profiles": [],
    },
    "clientSessionIdleTimeout": 0,
    "clientSessionMaxLifespan": 0,
    "defaultGroups": [],
    "defaultLocale": "",
    "defaultSignatureAlgorithm": "RS256",
    "directGrantFlow": "direct grant",
    "displayName": "",
    "displayNameHtml": "",
    "dockerAuthenticationFlow": "docker auth",
    "duplicateEmailsAllowed": False,
    "editUsernameAllowed": False,
    "emailTheme": "",
    "enabled": True,
    "enabledEventTypes": [],
    "eventsEnabled": False,
    "eventsExpiration": 0,
    "eventsListeners": ["jboss-logging"],
    "failureFactor": 30,
    "firstBrokerLoginFlow": "first broker login",
    "internationalizationEnabled": False,
    "loginTheme": "",
    "loginWithEmailAllowed": True,
    "maxDeltaTimeSeconds": 43200,
    "maxFailureWaitSeconds": 900,
    "maxSecondaryAuthFailures": 0,
    "maxTemporaryLockouts": 0,
    "minimumQuickLoginWaitSeconds": 60,
    "oauth2DeviceCodeLifespan": 600,
    "oauth2DevicePollingInterval": 5,
    "offlineSessionIdleTimeout": 2592000,
    "offlineSessionMaxLifespan": 5184000,
    "offlineSessionMaxLifespanEnabled": False,
    "organizationsEnabled": False,
    "otpPolicyAlgorithm": "HmacSHA1",
    "otpPolicyCodeReusable": False,
    "otpPolicyDigits": 6,
    "otpPolicyInitialCounter": 0,
    "otpPolicyLookAheadWindow": 1,
    "otpPolicyPeriod": 30,
    "otpPolicyType": "totp",
    "passwordPolicy": "",
    "permanentLockout": False,
    "quickLoginCheckMilliSeconds": 1000,
    "refreshTokenMaxReuse": 0,
    "registrationAllowed": False,
    "registrationEmailAsUsername": False,
    "registrationFlow": "registration",
    "rememberMe": False,
    "requiredCredentials": ["password"],
    "resetCredentialsFlow": "reset credentials",
    "resetPasswordAllowed": False,
    "revokeRefreshToken": False,
    "scimApiEnabled": False,
    "sslRequired": "external",
    "ssoSessionIdleTimeout": 1800,
    "ssoSessionIdleTimeoutRememberMe": 0,
    "ssoSessionMaxLifespan": 36000,
    "ssoSessionMaxLifespanRememberMe": 0,
    "supportedLocales": [],
    "userManagedAccessAllowed": False,
    "verifiableCredentialsEnabled": False,
    "verifyEmail": False,
    "waitIncrementSeconds": 60,
    "webAuthnPolicyAcceptableAaguids": [],
    "webAuthnPolicyAttestationConveyancePreference": "not specified",
    "webAuthnPolicyAuthenticatorAttachment": "not specified",
    "webAuthnPolicyAvoidSameAuthenticatorRegister": False,
    "webAuthnPolicyCreateTimeout": 0,
    "webAuthnPolicyExtraOrigins": [],
    "webAuthnPolicyPasswordlessAcceptableAaguids": [],
    "webAuthnPolicyPasswordlessAttestationConveyancePreference": "not specified",
    "webAuthnPolicyPasswordlessAuthenticatorAttachment": "not specified",
    "webAuthnPolicyPasswordlessAvoidSameAuthenticatorRegister": False,
    "webAuthnPolicyPasswordlessCreateTimeout": 0,
    "webAuthnPolicyPasswordlessExtraOrigins": [],
    "webAuthnPolicyPasswordlessMediation": "",
    "webAuthnPolicyPasswordlessPasskeysEnabled": False,
    "webAuthnPolicyPasswordlessRequireResidentKey": "Yes",
    "webAuthnPolicyPasswordlessResidentKey": "required",
    "webAuthnPolicyPasswordlessRpEntityName": "keycloak",
    "webAuthnPolicyPasswordlessRpId": "",
    "webAuthnPolicyPasswordlessSignatureAlgorithms": ["ES256", "RS256"],
    "webAuthnPolicyPasswordlessUserVerificationRequirement": "required",
    "webAuthnPolicyRequireResidentKey": "not specified",
    "webAuthnPolicyResidentKey": "not specified",
    "webAuthnPolicyRpEntityName": "keycloak",
    "webAuthnPolicyRpId": "",
    "webAuthnPolicySignatureAlgorithms": ["ES256", "RS256"],
    "webAuthnPolicyUserVerificationRequirement": "not specified",
}

_CLIENT: Final[Mapping[str, Any]] = {
    "adminUrl": "",
    "alwaysDisplayInConsole": False,
    "authorizationServicesEnabled": False,
    "baseUrl": "",
    "bearerOnly": False,
    "clientAuthenticatorType": "client-secret",
    "consentRequired": False,
    "description": "",
    "directAccessGrantsEnabled": False,
    "enabled": True,
    "fullScopeAllowed": True,
    "implicitFlowEnabled": False,
    "name": "",
    "nodeReRegistrationTimeout": -1,
    "protocol": "openid-connect",
    "publicClient": False,
    "redirectUris": [],
    "rootUrl": "",
    "serviceAccountsEnabled": False,
    "standardFlowEnabled": True,
    "surrogateAuthRequired": False,
    "type": "",
    "webOrigins": [],
}

_OF_PROTOCOL: Final[Mapping[str, Mapping[str, Any]]] = {
    "openid-connect": {
        "attributes": {
            "backchannel.logout.revoke.offline.tokens": "false",
            "backchannel.logout.session.required": "true",
        },
        "frontchannelLogout": False,
    },
    "saml": {
        "attributes": {
            "saml.allow.ecp.flow": "false",
            "saml.authnstatement": "true",
            "saml.client.signature": "true",
            "saml.force.post.binding": "true",
            "saml.server.signature": "true",
            "saml.signature.algorithm": "RSA_SHA256",
            "saml_force_name_id_format": "false",
            "saml_name_id_format": "username",
            "saml_signature_canonicalization_method": "http://www.w3.org/2001/10/xml-exc-c14n#",
        },
        "frontchannelLogout": True,
    },
}


def realm_default(path: tuple[str, ...]) -> Any:
    """Return what a new realm has at *path*: "", [], False or 0 where Keycloak shows nothing; `MISSING` if unknown."""
    return _at(_REALM, path)


def client_default(path: tuple[str, ...], protocol: str) -> Any:
    """Return what a new client of *protocol* has at *path*, likewise."""
    found = _at(_OF_PROTOCOL.get(protocol, {}), path)
    return _at(_CLIENT, path) if found is MISSING else found


def every_realm_default() -> Mapping[str, Any]:
    """Return all that is known of a new realm."""
    return _REALM


def every_client_default(protocol: str) -> Mapping[str, Any]:
    """Return all that is known of a new client of *protocol*."""
    return {**_CLIENT, **_OF_PROTOCOL.get(protocol, {})}


def client_attributes(protocol: str) -> Mapping[str, str]:
    """Return the attributes that a new client of *protocol* has."""
    attributes: Mapping[str, str] = _OF_PROTOCOL.get(protocol, {}).get("attributes", {})
    return attributes


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for step in path:
        if not isinstance(value, Mapping) or step not in value:
            return MISSING
        value = value[step]
    return value
