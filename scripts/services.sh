#!/usr/bin/env bash
# Installs what the tests against real servers need, on Debian. What is there is left as it is, so that a second run
# takes no time. It starts nothing: each test starts its servers itself, on loopback, and stops them.
#
#   scripts/services.sh
#
# By apt-get, as root: mosquitto, mosquitto-clients, kcat, a Java runtime (17 or later), maven, python3 with venv.
# Into a folder of ours:
#   $HOLDFAST_KAFKA/<version>/   jars of Kafka brokers, from Maven
#   $HOLDFAST_KAFKA/python/      a Python with paho-mqtt: a second, independent MQTT client
# HOLDFAST_KAFKA is ~/.cache/holdfast-kafka unless the environment names another folder.
set -euo pipefail

readonly KAFKA_VERSIONS=(3.9.2 4.4.0)
readonly PAHO_VERSION=2.1.0
readonly MAVEN_DEPENDENCY_PLUGIN=org.apache.maven.plugins:maven-dependency-plugin:3.8.1
readonly POLICY=/usr/sbin/policy-rc.d
cache=${HOLDFAST_KAFKA:-$HOME/.cache/holdfast-kafka}

# Brokers of 4.x run on Java 17 or later; maven comes with whatever Debian's default is.
has_java() {
  local version
  version=$(java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p;q') || return 1
  [[ -n $version && $version -ge 17 ]]
}

has_broker() { [[ -f $cache/$1/.complete ]]; }

has_paho() { [[ -x $cache/python/bin/python ]] && "$cache/python/bin/python" -c 'import paho.mqtt.client' 2>/dev/null; }

has_brokers() {
  local version
  for version in "${KAFKA_VERSIONS[@]}"; do has_broker "$version" || return 1; done
}

# A package that brings a daemon would start it as soon as it is unpacked, on a port that a test may want.
install_packages() {
  if ((EUID != 0)); then
    echo "to be installed by root: apt-get install $*" >&2
    exit 69
  fi
  local made=0
  if [[ ! -e $POLICY ]]; then
    printf '#!/bin/sh\nexit 101\n' >"$POLICY"
    chmod 755 "$POLICY"
    made=1
  fi
  # Another policy than ours stays.
  if ((made)); then trap 'rm -f "$POLICY"' EXIT; fi
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
  if ((made)); then
    rm -f "$POLICY"
    trap - EXIT
  fi
}

# Jars first into a folder beside it: a download that broke off never looks complete.
fetch_broker() {
  local version=$1 work
  mkdir -p "$cache"
  work=$(mktemp -d "$cache/.fetch-XXXXXX")
  # kafka-tools-api is named by the POM of 4.4.0 and was never published; a broker does not use it.
  cat >"$work/pom.xml" <<XML
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>holdfast.test</groupId>
  <artifactId>broker</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>$version</version>
      <exclusions>
        <exclusion>
          <groupId>org.apache.kafka</groupId>
          <artifactId>kafka-tools-api</artifactId>
        </exclusion>
      </exclusions>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId>
      <artifactId>slf4j-simple</artifactId>
      <version>1.7.36</version>
    </dependency>
  </dependencies>
</project>
XML
  if ! mvn -q -B -ntp -Dstyle.color=never -f "$work/pom.xml" "$MAVEN_DEPENDENCY_PLUGIN:copy-dependencies" \
    -DincludeScope=runtime -DoutputDirectory="$work/jars" >&2; then
    rm -rf "$work"
    return 1
  fi
  touch "$work/jars/.complete"
  rm -rf "${cache:?}/$version"
  mv "$work/jars" "$cache/$version"
  rm -rf "$work"
}

fetch_paho() {
  rm -rf "$cache/python"
  mkdir -p "$cache"
  python3 -m venv "$cache/python"
  "$cache/python/bin/python" -m pip install --quiet --disable-pip-version-check "paho-mqtt==$PAHO_VERSION"
}

missing=()
command -v mosquitto >/dev/null || [[ -x /usr/sbin/mosquitto ]] || missing+=(mosquitto)
command -v mosquitto_pub >/dev/null || missing+=(mosquitto-clients)
command -v kcat >/dev/null || missing+=(kcat)
has_java || missing+=(openjdk-17-jre-headless)
has_brokers || command -v mvn >/dev/null || missing+=(maven)
if ! has_paho; then
  command -v python3 >/dev/null || missing+=(python3)
  python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
fi
if ((${#missing[@]})); then
  echo "apt-get install ${missing[*]}"
  install_packages "${missing[@]}"
fi

for version in "${KAFKA_VERSIONS[@]}"; do
  has_broker "$version" && continue
  echo "Kafka $version into $cache"
  fetch_broker "$version"
done
if ! has_paho; then
  echo "paho-mqtt into $cache/python"
  fetch_paho
fi
