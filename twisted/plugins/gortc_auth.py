from gortc.admission.interfaces import Ask, AuthContext
from gortc.admission.plugin import authenticator


@authenticator("jwt")
def jwt(context: AuthContext) -> Ask:
    """Tokens that somebody else has signed."""
    from gortc.admission.jwt import load_jwt

    return load_jwt(context)


@authenticator("webhook")
def webhook(context: AuthContext) -> Ask:
    """An application is asked about each peer."""
    from gortc.admission.webhook import load_webhook

    return load_webhook(context)


@authenticator("static")
def static(context: AuthContext) -> Ask:
    """Users and their passwords' hashes."""
    from gortc.admission.static import load_static

    return load_static(context)


@authenticator("mtls")
def mtls(context: AuthContext) -> Ask:
    """The certificates that peers show."""
    from gortc.admission.mtls import load_mtls

    return load_mtls(context)
