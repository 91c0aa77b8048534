"""What keys and tokens look like, by who issues them: shapes that their issuers publish, or that their scanners look for."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Shape:
    """The form of one kind of secret.

    Attributes:
        kind: In words, for whoever is told of it; never any part of the secret.
        marks: Plain texts, one of which stands in whatever the pattern matches: looking for these costs next to nothing.
        pattern: For `re`; its group `secret`, or all of it, is what must not be kept. Runs in linear time.
    """

    kind: str
    marks: tuple[str, ...]
    pattern: str


_KEY_BODY = r"(?:\\[rn]|[\s\"'+,|>*#]){0,40}(?:[A-Za-z][A-Za-z-]{2,20}: [^\r\n\\]{0,100}(?:\\[rn]|\s){1,4}){0,8}[A-Za-z0-9+/=]{24,}"
_KEY_LINES = r"(?:[A-Za-z0-9+/=]|\\[rn]|[\s\"'+,|>*#]){0,20000}(?:-{2,5}END [A-Z0-9 ]{0,40}-{2,5})?"

ISSUED = (
    Shape("a private key", ("PRIVATE KEY",), r"-{2,5}BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-{2,5}" + _KEY_BODY + _KEY_LINES),
    Shape(
        "a private key", ("PuTTY-User-Key-File",), r"PuTTY-User-Key-File-\d: [^\0]{20,2000}?Private-Lines: \d+\s[A-Za-z0-9+/=\s]{24,20000}"
    ),
    Shape("a private key", ("AGE-SECRET-KEY-1",), r"AGE-SECRET-KEY-1[A-Z0-9]{58}"),
    Shape("an AWS access key", ("AKIA", "ASIA", "ABIA", "ACCA"), r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}\b"),
    Shape(
        "an AWS secret key",
        ("aws", "AWS", "SecretAccessKey"),
        r"(?i:aws|secret).{0,20}?(?i:secret|key)\W{0,6}(?i:is|=)?\W{0,6}(?<![A-Za-z0-9/+])(?P<secret>[A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])",
    ),
    Shape("a GitHub token", ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), r"\bgh[pousr]_[A-Za-z0-9]{36,255}"),
    Shape("a GitHub token", ("github_pat_",), r"\bgithub_pat_[A-Za-z0-9_]{60,255}"),
    Shape("a GitLab token", ("gl",), r"\bgl(?:pat|dt|rt|rtr|cbt|ptt|ft|imt|agent|soat|ffct|wt)-[\w-]{20,300}"),
    Shape("a Slack token", ("xox", "xapp-"), r"\b(?:xox[abceoprs](?:\.xox[a-z])?-[\w-]{10,300}|xapp-\d-[\w-]{20,300})"),
    Shape("a Slack webhook", ("hooks.slack.com",), r"hooks\.slack\.com/(?:services|workflows|triggers)/(?P<secret>[\w/-]{30,120})"),
    Shape("a Stripe key", ("_live_", "_test_"), r"\b[sr]k_(?:live|test)_[A-Za-z0-9]{16,250}"),
    Shape("a webhook secret", ("whsec_",), r"\bwhsec_[A-Za-z0-9+/=]{24,100}"),
    Shape("an Anthropic key", ("sk-ant-",), r"\bsk-ant-[a-z]{2,10}\d\d-[\w-]{20,200}"),
    Shape("an OpenAI key", ("T3BlbkFJ",), r"\bsk-[\w-]{10,200}?T3BlbkFJ[\w-]{10,200}"),
    Shape("an API key", ("sk-",), r"\bsk-(?:[a-z]{2,12}(?:-v\d)?-){0,2}[A-Za-z0-9_-]{32,250}"),
    Shape("a Google API key", ("AIza",), r"\bAIza[\w-]{35}(?![\w-])"),
    Shape("a Google secret", ("GOCSPX-", "ya29."), r"\b(?:GOCSPX-[\w-]{24,40}|ya29\.[\w-]{30,2000})"),
    Shape("a Hugging Face token", ("hf_", "api_org_"), r"\b(?:hf|api_org)_[A-Za-z]{34}\b"),
    Shape("a Groq key", ("gsk_",), r"\bgsk_[A-Za-z0-9]{40,80}"),
    Shape("an xAI key", ("xai-",), r"\bxai-[A-Za-z0-9]{60,100}"),
    Shape("a Perplexity key", ("pplx-",), r"\bpplx-[A-Za-z0-9]{40,80}"),
    Shape("a Replicate token", ("r8_",), r"\br8_[A-Za-z0-9]{37}\b"),
    Shape("an npm token", ("npm_",), r"\bnpm_[A-Za-z0-9]{36}\b"),
    Shape("a PyPI token", ("pypi-AgE",), r"\bpypi-AgE[\w-]{50,500}"),
    Shape("a RubyGems key", ("rubygems_",), r"\brubygems_[0-9a-f]{48}\b"),
    Shape("a Docker token", ("dckr_",), r"\bdckr_[op]at_[\w-]{20,60}"),
    Shape("a DigitalOcean token", ("_v1_",), r"\bdo[opr]_v1_[0-9a-f]{64}\b"),
    Shape("a SendGrid key", ("SG.",), r"\bSG\.[\w-]{16,32}\.[\w-]{16,64}"),
    Shape("a Mailgun key", ("key-",), r"\bkey-[0-9a-f]{32}\b"),
    Shape("a Mailchimp key", ("-us",), r"\b[0-9a-f]{32}-us\d{1,2}\b"),
    Shape("a Twilio key", ("SK",), r"(?<![A-Za-z0-9])SK[0-9a-f]{32}(?![A-Za-z0-9])"),
    Shape("a Telegram bot token", (":AA",), r"(?<!\d)\d{8,10}:AA[\w-]{33}(?![\w-])"),
    Shape("a Discord token", (".",), r"(?<![\w.-])[MNO][A-Za-z0-9_-]{23,27}\.[\w-]{6}\.[\w-]{27,45}(?![\w.-])"),
    Shape("a Discord webhook", ("discord",), r"discord(?:app)?\.com/api/webhooks/\d{15,22}/(?P<secret>[\w-]{60,80})"),
    Shape("a Vault token", ("hvs.", "hvb.", "hvr."), r"\bhv[sbr]\.[\w-]{20,300}"),
    Shape("a Terraform token", (".atlasv1.",), r"\b[A-Za-z0-9]{14}\.atlasv1\.[\w-]{60,80}"),
    Shape("a Linear key", ("lin_",), r"\blin_(?:api|oauth)_[A-Za-z0-9]{32,64}"),
    Shape("a Notion token", ("ntn_", "secret_"), r"\b(?:ntn_|secret_)[A-Za-z0-9]{43,50}\b"),
    Shape("a Shopify token", ("shp",), r"\bshp(?:at|ca|pa|ss|tka)_[0-9a-fA-F]{32}\b"),
    Shape("a Square token", ("sq0",), r"\bsq0(?:atp|csp|idp)-[\w-]{22,60}"),
    Shape("a Databricks token", ("dapi",), r"\bdapi[0-9a-f]{32}(?:-\d)?\b"),
    Shape("a Grafana token", ("glsa_", "glc_"), r"\b(?:glsa_[A-Za-z0-9]{32}_[0-9a-fA-F]{8}|glc_[A-Za-z0-9+/=]{32,400})"),
    Shape("a Sentry token", ("sntrys_", "sntryu_"), r"\bsntry[su]_[A-Za-z0-9_+/=]{40,400}"),
    Shape("a Supabase key", ("sbp_", "sb_secret_"), r"\b(?:sbp_[0-9a-f]{40}|sb_secret_[\w-]{20,60})\b"),
    Shape("a Postman key", ("PMAK-",), r"\bPMAK-[0-9a-f]{24}-[0-9a-f]{34}\b"),
    Shape("an Atlassian token", ("ATATT3", "ATCTT3", "ATBB"), r"\b(?:AT[AC]TT3[\w=-]{50,300}|ATBB[A-Za-z0-9]{32})"),
    Shape("a New Relic key", ("NRAK-",), r"\bNRAK-[A-Z0-9]{27}\b"),
    Shape("a Fly.io token", ("fo1_", "fm1r_", "fm2_"), r"\b(?:fo1_[\w-]{43}|fm(?:1r|2)_[A-Za-z0-9+/=]{60,600})"),
    Shape("a Tailscale key", ("tskey-",), r"\btskey-(?:[a-z]+-)?[A-Za-z0-9]{6,40}-[A-Za-z0-9]{16,60}"),
    Shape("a Doppler token", ("dp.",), r"\bdp\.(?:ct|pt|st(?:\.[a-z0-9_-]{2,35})?|sa|scim|audit)\.[A-Za-z0-9]{40,44}\b"),
    Shape("a Pulumi token", ("pul-",), r"\bpul-[0-9a-f]{40}\b"),
    Shape(
        "a 1Password secret",
        ("ops_eyJ", "A3-"),
        r"\b(?:ops_eyJ[\w+/=-]{100,2000}|A3-[A-Z0-9]{6}-(?:[A-Z0-9]{11}|[A-Z0-9]{6}-[A-Z0-9]{5})(?:-[A-Z0-9]{5}){3})\b",
    ),
    Shape("an Azure key", ("AccountKey", "SharedAccessKey"), r"(?:AccountKey|SharedAccessKey)=(?P<secret>[A-Za-z0-9+/]{40,90}={0,2})"),
    Shape("an Azure client secret", ("Q~",), r"(?<![\w.~-])[\w.~-]{3}\dQ~[\w.~-]{31,34}(?![\w.~-])"),
    Shape("a signed web token", ("eyJ",), r"\beyJ[\w-]{14,2000}\.eyJ[\w-]{8,4000}\.(?P<secret>[\w-]{16,1400})"),
)
"""The particular before the general: of two that match the same place, the first names it."""
