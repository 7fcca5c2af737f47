"""Certificates for tests, made by openssl(1): of any validity, with a key of their own in a file of mode 0600."""
import datetime
import os
import subprocess

CONF = """[ca]
default_ca = d
[d]
database = {dir}/index.txt
serial = {dir}/serial
new_certs_dir = {dir}
default_md = sha256
policy = p
unique_subject = no
x509_extensions = e
[p]
commonName = supplied
[e]
subjectAltName = {names}
basicConstraints = CA:TRUE
"""


def _openssl(*words):
    subprocess.run(["openssl", *words], check=True, capture_output=True)


def make(folder, name="pool.example", begin=-1, end=90, rsa=False, passphrase=None, ip="127.0.0.1"):
    """Certificate and key as paths; begin and end are days from now. Both together: one_file()."""
    work = os.path.join(folder, f"{name}-{begin}-{end}" + ("-rsa" if rsa else "") + ("-locked" if passphrase else ""))
    os.makedirs(work, exist_ok=True)
    key, request, cert = (os.path.join(work, x) for x in ("key.pem", "request.pem", "certificate.pem"))
    with open(os.path.join(work, "ca.conf"), "w", encoding="utf-8") as f:
        f.write(CONF.format(dir=work, names=f"DNS:{name},IP:{ip}"))
    for file, text in (("index.txt", ""), ("serial", "01\n")):
        with open(os.path.join(work, file), "w", encoding="utf-8") as f:
            f.write(text)
    kind = ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"] if rsa else \
        ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
    _openssl("genpkey", *kind, "-out", key)
    os.chmod(key, 0o600)
    _openssl("req", "-new", "-key", key, "-subj", f"/CN={name}", "-out", request)
    now = datetime.datetime.now(datetime.timezone.utc)
    dates = [(now + datetime.timedelta(days=d)).strftime("%Y%m%d%H%M%SZ") for d in (begin, end)]
    _openssl("ca", "-batch", "-config", os.path.join(work, "ca.conf"), "-selfsign", "-keyfile", key, "-in", request,
             "-out", cert, "-notext", "-startdate", dates[0], "-enddate", dates[1])
    if passphrase:
        _openssl("pkey", "-in", key, "-aes128", "-passout", "pass:" + passphrase, "-out", key + ".locked")
        os.replace(key + ".locked", key)
        os.chmod(key, 0o600)
    return cert, key


def one_file(path, cert, key):
    """Both in one file, as `tls: FILE` wants it; put in its place in one step."""
    with open(path + ".new", "w", encoding="utf-8") as f:
        os.fchmod(f.fileno(), 0o600)
        for part in (cert, key):
            with open(part, encoding="utf-8") as g:
                f.write(g.read())
    os.replace(path + ".new", path)
    return path
