# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""Certificates of the moment, made with openssl(1)."""
import os
import subprocess

CONF = """[ca]
default_ca = d
[d]
database = index.txt
rand_serial = yes
new_certs_dir = .
default_md = sha256
policy = p
unique_subject = no
[p]
commonName = supplied
"""
KEYS = {"ec": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
        "rsa": ["-newkey", "rsa:2048"]}
LONG = ("20260101000000Z", "20491231000000Z")
OVER = ("20200101000000Z", "20260201000000Z")
LATER = ("20480101000000Z", "20491231000000Z")


class Pki:
    """A directory of NAME.crt and NAME.key; everybody reads the .crt."""

    def __init__(self, directory):
        self.dir = directory
        os.mkdir(self.dir, 0o755)
        with open(self.path("ca.cnf"), "w", encoding="ascii") as f:
            f.write(CONF)
        with open(self.path("index.txt"), "w", encoding="ascii"):
            pass

    def path(self, name):
        return os.path.join(self.dir, name)

    def openssl(self, *words):
        p = subprocess.run(["openssl", *words], cwd=self.dir,
                           stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
                           stdout=subprocess.PIPE, check=False)
        if p.returncode != 0:
            raise RuntimeError(f"openssl {words}: {p.stderr.decode()}")
        return p.stdout.decode()

    def root(self, name, common=None, sans=None):
        """Self-signed: an authority, or with sans a server's."""
        more = ["-addext", f"subjectAltName={sans}"] if sans else []
        self.openssl("req", "-x509", *KEYS["ec"], "-nodes", "-days", "30",
                     "-keyout", f"{name}.key", "-out", f"{name}.crt",
                     "-subj", f"/CN={common or name}", *more)
        self.modes(name)

    def leaf(self, name, sans, when=LONG, ca="ca", key="ec", extra=""):
        self.openssl("req", *KEYS[key], "-nodes", "-keyout", f"{name}.key",
                     "-out", f"{name}.csr", "-subj", f"/CN={name}")
        with open(self.path(f"{name}.ext"), "w", encoding="ascii") as f:
            f.write((f"subjectAltName={sans}\n" if sans else "") + extra +
                    "extendedKeyUsage=serverAuth\n" * (not extra))
        self.openssl("ca", "-batch", "-config", "ca.cnf", "-cert",
                     f"{ca}.crt", "-keyfile", f"{ca}.key", "-in",
                     f"{name}.csr", "-out", f"{name}.crt", "-startdate",
                     when[0], "-enddate", when[1], "-extfile",
                     f"{name}.ext", "-notext")
        self.modes(name)

    def modes(self, name):
        os.chmod(self.path(f"{name}.key"), 0o600)
        os.chmod(self.path(f"{name}.crt"), 0o644)

    def move(self, source, target):
        """A renewed pair takes the place of another, as certbot does it."""
        for end in ("crt", "key"):
            with open(self.path(f"{source}.{end}"), "rb") as f:
                text = f.read()
            temporary = self.path(f"{target}.{end}.new")
            with open(temporary, "wb") as f:
                f.write(text)
            os.chmod(temporary, 0o600 if end == "key" else 0o644)
            os.rename(temporary, self.path(f"{target}.{end}"))

    def pair(self, name):
        return (f'certificate "{self.path(name)}.crt" '
                f'key "{self.path(name)}.key"')
