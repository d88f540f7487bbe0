"""Every event that the audit log knows, with its meaning.

A name, once released, keeps its meaning: operators search and alert by it. `docs/audit.md` has the same list.
"""

from enum import StrEnum


class Event(StrEnum):
    """What happened. Each is recorded in the transaction of the act, unless its meaning says otherwise."""

    # Accounts
    USER_SIGNED_UP = "user_signed_up"
    USER_CREATED = "user_created"
    FIRST_SUPERUSER_CREATED = "first_superuser_created"
    USERS_IMPORTED = "users_imported"
    USER_ACTIVATED = "user_activated"
    USER_DEACTIVATED = "user_deactivated"
    USER_PROMOTED = "user_promoted"
    USER_DEMOTED = "user_demoted"
    USER_RENAMED = "user_renamed"
    USER_DELETED = "user_deleted"

    # Roles
    ROLE_CREATED = "role_created"
    ROLE_CHANGED = "role_changed"
    ROLE_DELETED = "role_deleted"
    ROLE_GRANTED = "role_granted"
    ROLE_REVOKED = "role_revoked"
    # Addresses, recovery and invitations
    EMAIL_VERIFIED = "email_verified"
    EMAIL_CHANGE_STARTED = "email_change_started"
    EMAIL_CHANGED = "email_changed"
    PASSWORD_RESET_STARTED = "password_reset_started"  # noqa: S105 - a name, as below
    PASSWORD_RESET = "password_reset"  # noqa: S105
    USER_INVITED = "user_invited"
    INVITATION_ACCEPTED = "invitation_accepted"
    SIGNUP_ADDRESS_TAKEN = "signup_address_taken"

    # Login and sessions
    LOGIN_SUCCEEDED = "login_succeeded"
    LOGIN_FAILED = "login_failed"
    REAUTHENTICATED = "reauthenticated"
    THROTTLE_CLEARED = "throttle_cleared"
    PASSWORD_REFUSED = "password_refused"  # noqa: S105 - a name, as below
    PASSWORD_CHANGED = "password_changed"  # noqa: S105
    LOGGED_OUT = "logged_out"
    LOGGED_OUT_EVERYWHERE = "logged_out_everywhere"
    SESSIONS_ENDED = "sessions_ended"
    REFRESH_TOKEN_REPLAYED = "refresh_token_replayed"  # noqa: S105

    # API keys
    SERVICE_ACCOUNT_CREATED = "service_account_created"
    API_KEY_CREATED = "api_key_created"
    API_KEY_REVOKED = "api_key_revoked"

    # Mail
    MAIL_GIVEN_UP = "mail_given_up"

    # Keys
    SIGNING_KEY_PUBLISHED = "signing_key_published"
    SIGNING_KEY_REVOKED = "signing_key_revoked"
    SECRET_CHANGED = "secret_changed"  # noqa: S105

    # Refusals, and the log itself
    ACCESS_REFUSED = "access_refused"
    RATE_LIMITED = "rate_limited"
    AUDIT_CHAIN_BROKEN = "audit_chain_broken"

    # The database
    DATABASE_RESTORED = "database_restored"
    DATABASE_MOVED = "database_moved"


MEANINGS = {
    Event.USER_SIGNED_UP: "Somebody signed up.",
    Event.USER_CREATED: "An operator made a user; `superuser` says whether one.",
    Event.FIRST_SUPERUSER_CREATED: "The token printed at start was used up to make the first superuser.",
    Event.USERS_IMPORTED: "Part of a file was imported: its fingerprint, and how many were `added` and `rejected`.",
    Event.USER_ACTIVATED: "A user may sign in again.",
    Event.USER_DEACTIVATED: "A user was kept out, and all his sessions and API keys ended.",
    Event.USER_PROMOTED: "A user became a superuser.",
    Event.USER_DEMOTED: "A superuser became an ordinary user.",
    Event.USER_RENAMED: "A user has another username.",
    Event.USER_DELETED: "A user was removed with all that belonged to him.",
    Event.ROLE_CREATED: "A role was made, with these `permissions`.",
    Event.ROLE_CHANGED: "A role was changed, for all who have it: permissions that were `added` and `removed`.",
    Event.ROLE_DELETED: "A role that nobody had was removed; it had these `permissions`.",
    Event.ROLE_GRANTED: "A user was given a role.",
    Event.ROLE_REVOKED: "A role was taken from a user.",
    Event.EMAIL_VERIFIED: "Mail to a user's address has reached him.",
    Event.EMAIL_CHANGE_STARTED: "A new address is to take the place of a user's, once it is proven.",
    Event.EMAIL_CHANGED: "A user has another address, which was proven.",
    Event.PASSWORD_RESET_STARTED: "A user was mailed a link to choose a new password by.",
    Event.PASSWORD_RESET: "A user chose a new password by such a link; `sessions` and `api_keys` were ended.",
    Event.USER_INVITED: "Somebody was invited to have an account, with the roles in `roles`.",
    Event.INVITATION_ACCEPTED: "Somebody who was invited has an account now.",
    Event.SIGNUP_ADDRESS_TAKEN: "A sign-up in privacy mode named a user's address; he was told, whoever tried was not.",
    Event.LOGIN_SUCCEEDED: "Somebody proved who he is, by the methods in `amr`; `session` is what began.",
    Event.LOGIN_FAILED: "A login was refused; `reason` says why, which the caller was not told.",
    Event.REAUTHENTICATED: "Somebody signed in proved his password once more; `session` goes on with new tokens.",
    Event.THROTTLE_CLEARED: "An operator cleared what was counted against guesses for a user.",
    Event.PASSWORD_REFUSED: "Somebody signed in gave a wrong current password, or too many: `reason` says which.",
    Event.PASSWORD_CHANGED: "A user who gave his password has another one; `sessions` says how many others ended.",
    Event.LOGGED_OUT: "A user ended a session of his.",
    Event.LOGGED_OUT_EVERYWHERE: "A user ended all his sessions; `sessions` says how many.",
    Event.SESSIONS_ENDED: "An administrator ended all sessions of a user; `sessions` says how many.",
    Event.REFRESH_TOKEN_REPLAYED: "A spent refresh token came back; `session` was ended, as it may have been stolen.",
    Event.SERVICE_ACCOUNT_CREATED: "A service account was made; the roles that it got are events of their own.",
    Event.API_KEY_CREATED: "A user got the API key `key`, which may use `scopes`.",
    Event.API_KEY_REVOKED: "A user's API key `key` was removed.",
    Event.MAIL_GIVEN_UP: "A mail about a user was not delivered and never will be; `message` says what it was about.",
    Event.SIGNING_KEY_PUBLISHED: "A key that signs access tokens was added; it signs from `signs_from` on.",
    Event.SIGNING_KEY_REVOKED: "A signing key, and with it every token it signed, is refused from now on.",
    Event.SECRET_CHANGED: "The server was started with a new secret key, the old one being listed.",
    Event.ACCESS_REFUSED: "Refused with 403, for the `code`, `count` times in a second; written within a second.",
    Event.RATE_LIMITED: "Over a request limit (`limit`), `count` times in a minute; written after that minute.",
    Event.AUDIT_CHAIN_BROKEN: "The server found the end of this log not as it had sealed it, and went on behind it.",
    Event.DATABASE_RESTORED: "The database is that of the backup of `made_at`; `sessions` says how many were ended.",
    Event.DATABASE_MOVED: "The database was moved here from another engine, as it was at `made_at`.",
}
