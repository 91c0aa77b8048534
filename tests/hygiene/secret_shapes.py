"""Secrets of the shapes that their issuers publish, drawn anew from a seed; none was ever issued.

They are put together here, so that no scanner of repositories takes this file for a leak.
"""

import base64
import json
import random
import string
from collections.abc import Callable

LOWER, UPPER, DIGITS = string.ascii_lowercase, string.ascii_uppercase, string.digits
WORD = LOWER + UPPER + DIGITS
URLSAFE = WORD + "-_"
BASE64 = WORD + "+/"
HEX = DIGITS + "abcdef"
BASE32 = UPPER + "234567"

Draw = Callable[[str, int], str]


def drawing(seed: int) -> Draw:
    """Texts of so many characters of an alphabet; from ten on with letters and digits where it has both."""
    source = random.Random(seed)

    def draw(alphabet: str, length: int) -> str:
        wanted = [kind for kind in (DIGITS, LOWER + UPPER) if length >= 10 and set(alphabet) & set(kind)]
        while True:
            text = "".join(source.choices(alphabet, k=length))
            if all(set(text) & set(kind) for kind in wanted):
                return text

    return draw


def jwt(draw: Draw) -> str:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part({'sub': draw(DIGITS, 10), 'iat': 1700000000})}.{draw(URLSAFE, 43)}"


def pem(draw: Draw, title: str) -> str:
    body = "\n".join(draw(BASE64, 64) for _ in range(6))
    return f"-----BEGIN {title}-----\n{body}\n-----END {title}-----"


TOKENS: dict[str, Callable[[Draw], str]] = {
    "aws access key": lambda d: "AK" + "IA" + d(BASE32, 16),
    "aws session key": lambda d: "AS" + "IA" + d(BASE32, 16),
    "aws secret": lambda d: f"aws_secret_access_key = {d(BASE64, 40)}",
    "github": lambda d: "gh" + "p_" + d(WORD, 36),
    "github oauth": lambda d: "gh" + "o_" + d(WORD, 36),
    "github fine-grained": lambda d: "github" + "_pat_" + d(WORD, 22) + "_" + d(WORD, 59),
    "gitlab": lambda d: "gl" + "pat-" + d(URLSAFE, 20),
    "slack bot": lambda d: "xo" + "xb-" + d(DIGITS, 12) + "-" + d(DIGITS, 12) + "-" + d(WORD, 24),
    "slack app": lambda d: "xa" + "pp-1-A" + d(UPPER + DIGITS, 10) + "-" + d(DIGITS, 13) + "-" + d(HEX, 64),
    "slack webhook": lambda d: (
        "https://hooks.slack.com/ser" + "vices/T" + d(UPPER + DIGITS, 8) + "/B" + d(UPPER + DIGITS, 8) + "/" + d(WORD, 24)
    ),
    "stripe": lambda d: "sk" + "_live_" + d(WORD, 24),
    "stripe long": lambda d: "sk" + "_live_" + d(WORD, 99),
    "stripe restricted": lambda d: "rk" + "_live_" + d(WORD, 24),
    "stripe webhook": lambda d: "wh" + "sec_" + d(WORD, 32),
    "openai": lambda d: "sk" + "-" + d(WORD, 20) + "T3Blbk" + "FJ" + d(WORD, 20),
    "openai project": lambda d: "sk" + "-proj-" + d(URLSAFE, 74) + "T3Blbk" + "FJ" + d(URLSAFE, 74),
    "anthropic": lambda d: "sk" + "-ant-api03-" + d(URLSAFE, 93) + "AA",
    "openrouter": lambda d: "sk" + "-or-v1-" + d(HEX, 64),
    "google api": lambda d: "AI" + "za" + d(URLSAFE, 35),
    "google client secret": lambda d: "GOC" + "SPX-" + d(URLSAFE, 28),
    "hugging face": lambda d: "h" + "f_" + d(LOWER + UPPER, 34),
    "groq": lambda d: "gs" + "k_" + d(WORD, 52),
    "npm": lambda d: "np" + "m_" + d(WORD, 36),
    "pypi": lambda d: "pypi-" + "AgEIcHlwaS5vcmc" + d(URLSAFE, 70),
    "docker": lambda d: "dckr" + "_pat_" + d(URLSAFE, 27),
    "digitalocean": lambda d: "dop" + "_v1_" + d(HEX, 64),
    "sendgrid": lambda d: "S" + "G." + d(URLSAFE, 22) + "." + d(URLSAFE, 43),
    "twilio": lambda d: "TWILIO_API_KEY=S" + "K" + d(HEX, 32),
    "telegram": lambda d: d(DIGITS, 10) + ":A" + "A" + d(URLSAFE, 33),
    "discord webhook": lambda d: "https://discord.com/api/web" + "hooks/" + d(DIGITS, 18) + "/" + d(URLSAFE, 68),
    "vault": lambda d: "hv" + "s." + d(URLSAFE, 90),
    "linear": lambda d: "lin" + "_api_" + d(WORD, 40),
    "notion": lambda d: "nt" + "n_" + d(DIGITS, 11) + d(WORD, 35),
    "shopify": lambda d: "shp" + "at_" + d(HEX, 32),
    "databricks": lambda d: "da" + "pi" + d(HEX, 32),
    "grafana": lambda d: "gl" + "sa_" + d(WORD, 32) + "_" + d(HEX, 8),
    "azure storage": lambda d: (
        f"DefaultEndpointsProtocol=https;AccountName=shop;AccountKey={d(BASE64, 86)}==;EndpointSuffix=core.windows.net"
    ),
    "age": lambda d: "AGE-SEC" + "RET-KEY-1" + d("QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L", 58),
    "jwt": jwt,
    "rsa key": lambda d: pem(d, "RSA PRIVATE" + " KEY"),
    "openssh key": lambda d: pem(d, "OPENSSH PRIVATE" + " KEY"),
    "pkcs8 key": lambda d: pem(d, "PRIVATE" + " KEY"),
    "key in json": lambda d: json.dumps({"type": "service_account", "private_key": pem(d, "PRIVATE" + " KEY") + "\n"}),
}
"""By what it is."""

ASSIGNMENTS: dict[str, Callable[[Draw], str]] = {
    "yaml": lambda d: f"password: hunter2-{d(WORD, 6)}",
    "a stand-in's word within": lambda d: f"password: hunter2sEcret!{d(WORD, 6)}",
    "env": lambda d: f"DB_PASSWORD={d(WORD, 16)}",
    "export": lambda d: f"export API_TOKEN='{d(WORD, 32)}'",
    "python": lambda d: f'password = "{d(LOWER, 6)}{d(DIGITS, 3)}!{d(UPPER, 3)}"',
    "json": lambda d: json.dumps({"user": "svc", "password": d(WORD, 14)}),
    "keyword": lambda d: f"connect(host='db7', user='svc', password='{d(WORD, 12)}')",
    "api key": lambda d: f"api_key: {d(HEX, 32)}",
    "client secret": lambda d: f'client_secret = "{d(URLSAFE, 40)}"',
    "option": lambda d: f"psql-login --user svc --password {d(WORD, 12)} db7",
    "said": lambda d: f"The password of the staging database is {d(WORD, 12)}.",
    "said of somebody": lambda d: f"Ann's password for the router: {d(LOWER, 5)}{d(DIGITS, 4)}$",
    "header": lambda d: f"curl -H 'Authorization: Bearer {d(URLSAFE, 40)}' https://api.internal/v1",
    "header, hyphen": lambda d: f"Authorization: Bearer -{d(WORD, 40)}",
    "header, chance word": lambda d: f"Authorization: Bearer {d(WORD, 20)}yOUR{d(WORD, 20)}",
    "basic": lambda d: "Authorization: Basic " + base64.b64encode(f"svc:{d(WORD, 14)}".encode()).decode(),
    "curl": lambda d: f"curl -u svc:{d(WORD, 14)} https://api.internal/v1",
    "netrc": lambda d: f"machine git.internal login svc password {d(WORD, 16)}",
    "dotnet": lambda d: f"Server=db7;Database=shop;User Id=svc;Password={d(WORD, 12)}#;",
    "django": lambda d: f"SECRET_KEY = 'django-insecure-{d(LOWER + DIGITS, 40)}'",
}
"""By how they are written."""

URLS: dict[str, Callable[[Draw], str]] = {
    "postgres": lambda d: f"postgresql://svc:{d(WORD, 14)}@db7:5432/shop",
    "mysql": lambda d: f"mysql+pymysql://svc:{d(WORD, 10)}!@db.example.com/shop",
    "mongo": lambda d: f"mongodb+srv://svc:{d(WORD, 16)}@cluster0.ab1cd.mongodb.net/shop?retryWrites=true",
    "redis": lambda d: f"redis://:{d(WORD, 20)}@cache.internal:6379/0",
    "amqp": lambda d: f"amqps://svc:{d(WORD, 12)}@mq.internal//",
    "https": lambda d: f"git clone https://svc:{d(WORD, 20)}@git.example.com/shop.git",
    "userless token": lambda d: f"https://{d(HEX, 40)}@git.example.com/shop.git",
}
"""By their scheme."""

AROUND = (
    "{}",
    "The key for the staging server is {} (valid until May).",
    "Deploys need this in the environment:\n\n    {}\n\nAnn has the other one.",
)
"""What a secret may stand in."""
