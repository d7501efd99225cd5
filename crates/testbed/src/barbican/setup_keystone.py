"""Makes Keystone's database, or the users in it: setup_keystone.py database|users KEYSTONE_URL BARBICAN_URL"""

import os
import sys


def database(url, _):
    import grp
    import pwd
    import subprocess

    manage = [os.path.join(os.path.dirname(sys.executable), "keystone-manage"), "--config-file", os.environ["CONFIG"]]
    me = ["--keystone-user", pwd.getpwuid(os.getuid()).pw_name, "--keystone-group", grp.getgrgid(os.getgid()).gr_name]
    password = os.environ["ADMIN"].split()[1]
    urls = [word for kind in ("public", "internal", "admin") for word in (f"--bootstrap-{kind}-url", url)]
    # The keys take as long as the tables and need none of them.
    together = [subprocess.Popen(manage + step) for step in (["db_sync"], ["fernet_setup"] + me, ["credential_setup"] + me)]
    for step in together:
        if step.wait() != 0:
            sys.exit(f"{step.args} ended with {step.returncode}")
    subprocess.run(manage + ["bootstrap", "--bootstrap-password", password, "--bootstrap-region-id", "RegionOne"] + urls, check=True)


def users(url, barbican):
    import requests

    name, password, project = os.environ["ADMIN"].split()
    domain = {"id": "default"}
    identity = {"methods": ["password"], "password": {"user": {"name": name, "domain": domain, "password": password}}}
    auth = {"identity": identity, "scope": {"project": {"name": project, "domain": domain}}}
    answer = requests.post(f"{url}/auth/tokens", json={"auth": auth})
    answer.raise_for_status()
    headers = {"X-Auth-Token": answer.headers["X-Subject-Token"]}

    def make(kind, **fields):
        one = kind[:-1]
        answer = requests.post(f"{url}/{kind}", headers=headers, json={one: fields})
        answer.raise_for_status()
        return answer.json()[one]["id"]

    roles = {role["name"]: role["id"] for role in requests.get(f"{url}/roles", headers=headers).json()["roles"]}
    if "service" not in roles:
        roles["service"] = make("roles", name="service")

    def user(name, password, project, *granted):
        project = make("projects", name=project, domain_id="default")
        user = make("users", name=name, password=password, domain_id="default", default_project_id=project)
        for role in granted:
            requests.put(f"{url}/projects/{project}/users/{user}/roles/{roles[role]}", headers=headers).raise_for_status()

    user("barbican", "testbed-barbican", "service", "service", "admin")
    for tenant in ("S3", "OTHER"):
        user(*os.environ[tenant].split(), "member")
    service = make("services", name="barbican", type="key-manager")
    for interface in ("public", "internal", "admin"):
        make("endpoints", service_id=service, interface=interface, url=barbican, region_id="RegionOne")


{"database": database, "users": users}[sys.argv[1]](*sys.argv[2:])
