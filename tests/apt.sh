# Sourced by the scripts that install what the tests need: `apt_install PACKAGE…` installs packages of the system, or fails with the command that does.
apt_install() {
  local install="apt-get install -y --no-install-recommends $*" sudo=
  [ $# -gt 0 ] || return 0
  [ "$(id -u)" = 0 ] || sudo=sudo
  if ! { $sudo apt-get update -qq && $sudo env DEBIAN_FRONTEND=noninteractive $install >/dev/null; }; then
    echo "tests: missing $*; install: $install" >&2
    exit 1
  fi
}
