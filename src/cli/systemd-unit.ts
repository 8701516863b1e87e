/**
 * The systemd unit that `holdfast init --systemd` prints. Pure.
 *
 * Directives as in systemd.unit(5), systemd.service(5), systemd.exec(5) and systemd.kill(5) of systemd 246 and newer;
 * what came later stands in comments, with its version.
 */
import { FINAL_EXIT_CODES } from "./exit-codes.ts";
import { RESTART_DEFAULTS } from "./restart-policy.ts";
import { GRACE_MS, STOP_DEADLINE_MS } from "./runner.ts";

/** Name of the service's own directory below /var/lib. */
export const STATE_NAME = "holdfast";
/** Where it is. */
export const STATE_DIRECTORY: string = `/var/lib/${STATE_NAME}`;

/** What the unit says of one installation; all paths are absolute. */
export interface UnitFacts {
  /** Node with its options, the program, and its arguments. */
  readonly command: readonly string[];
  readonly workingDirectory: string;
  /** DATA_DIR, where the configuration follows it. */
  readonly dataVariable: string | undefined;
  /** Whether the data is in {@link STATE_DIRECTORY}. */
  readonly hasStateDirectory: boolean;
  /** Other directories that are written to. */
  readonly writable: readonly string[];
}

const USER = "holdfast";
const ENVIRONMENT_FILE = "/etc/default/holdfast";
/** Steady, because a growing delay needs systemd 254: as long as the ten growing ones of `supervise` on average. */
const RESTART_SECONDS = 15;
const WATCHDOG_SECONDS = 60;
/** Recovery reads every segment that was not closed in order; opening has deadlines of its own below this. */
const START_SECONDS = 180;
/** After a stop's own deadline, for messages to the init system that nobody takes. */
const STOP_MARGIN_SECONDS = 14;

const HOMES: readonly string[] = ["/home/", "/root/", "/run/user/"];
const TEMPORARY: readonly string[] = ["/tmp/", "/var/tmp/"];

/** The unit file, ending with a newline. */
export function systemdUnit(facts: UnitFacts): string {
  const sections = [head(facts), unitSection(), serviceSection(facts), hardening(facts), install()];
  return `${sections.map((lines) => lines.join("\n")).join("\n\n")}\n`;
}

function head({ writable }: UnitFacts): readonly string[] {
  const directories = writable.map(
    (path) => `#   sudo install -d -o ${USER} -g ${USER} -m 0700 ${shellWord(path)}`,
  );
  return [
    "# Holdfast as a systemd service. To install it:",
    "#   holdfast init --systemd > holdfast.service",
    `#   sudo useradd --system --no-create-home --shell /usr/sbin/nologin ${USER}`,
    ...directories,
    "#   sudo install -m 0644 holdfast.service /etc/systemd/system/",
    "#   sudo systemctl daemon-reload && sudo systemctl enable --now holdfast",
  ];
}

function unitSection(): readonly string[] {
  const { attempts, withinMs } = RESTART_DEFAULTS;
  return [
    "[Unit]",
    "Description=Holdfast ingest",
    "Wants=network-online.target",
    "After=network-online.target",
    `# ${attempts} restarts in any such interval; then it is failed until: systemctl reset-failed holdfast`,
    `StartLimitIntervalSec=${withinMs / 1_000}`,
    `StartLimitBurst=${attempts + 1}`,
  ];
}

function serviceSection(facts: UnitFacts): readonly string[] {
  return [
    "[Service]",
    "# Ready when every receiver listens. The messages come from systemd-notify(1), a child: hence all.",
    "Type=notify",
    "NotifyAccess=all",
    `TimeoutStartSec=${START_SECONDS}`,
    `ExecStart=${facts.command.map(commandWord).join(" ")}`,
    `WorkingDirectory=${specifiers(facts.workingDirectory)}`,
    `User=${USER}`,
    `Group=${USER}`,
    "UMask=0077",
    ...stateLines(facts),
    "# Optional: NAME=value lines for ${NAME} in the configuration",
    `EnvironmentFile=-${ENVIRONMENT_FILE}`,
    "",
    "# A sign of life comes only while the event loop turns and the log makes progress.",
    `WatchdogSec=${WATCHDOG_SECONDS}`,
    "Restart=on-failure",
    `# Usage, damaged data, configuration: no restart mends them.`,
    `RestartPreventExitStatus=${FINAL_EXIT_CODES.join(" ")}`,
    `RestartSec=${RESTART_SECONDS}`,
    "# systemd 254 and newer can let the delay grow; then instead of RestartSec above:",
    "#RestartSec=1",
    "#RestartSteps=6",
    "#RestartMaxDelaySec=60",
    "",
    `# It ends itself after ${(STOP_DEADLINE_MS + GRACE_MS) / 1_000} s at most.`,
    `TimeoutStopSec=${(STOP_DEADLINE_MS + GRACE_MS) / 1_000 + STOP_MARGIN_SECONDS}`,
    "KillMode=mixed",
    "# A child that the kernel kills for want of memory does not stop the service.",
    "OOMPolicy=continue",
  ];
}

function stateLines({ dataVariable, hasStateDirectory, writable }: UnitFacts): readonly string[] {
  return [
    ...(hasStateDirectory ? [`StateDirectory=${STATE_NAME}`, "StateDirectoryMode=0700"] : []),
    ...(dataVariable === undefined ? [] : [`Environment=${listWord(`DATA_DIR=${dataVariable}`)}`]),
    ...(writable.length === 0 ? [] : [`ReadWritePaths=${writable.map(listWord).join(" ")}`]),
  ];
}

function hardening(facts: UnitFacts): readonly string[] {
  const { command, workingDirectory, writable } = facts;
  const paths = [...command, workingDirectory, ...writable];
  const isIn = (places: readonly string[]): boolean =>
    paths.some((path) => places.some((place) => `${path}/`.startsWith(place)));
  return [
    "# Everything is read-only but the directories above. For a port below 1024 let",
    "# CapabilityBoundingSet= and AmbientCapabilities= be CAP_NET_BIND_SERVICE.",
    "NoNewPrivileges=yes",
    "CapabilityBoundingSet=",
    "ProtectSystem=strict",
    `ProtectHome=${isIn(HOMES) ? "read-only" : "yes"}`,
    `PrivateTmp=${isIn(TEMPORARY) ? "no" : "yes"}`,
    "PrivateDevices=yes",
    "ProtectClock=yes",
    "ProtectControlGroups=yes",
    "ProtectHostname=yes",
    "ProtectKernelLogs=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelTunables=yes",
    "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
    "RestrictNamespaces=yes",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "LockPersonality=yes",
    "SystemCallArchitectures=native",
    "SystemCallFilter=@system-service",
    "SystemCallErrorNumber=EPERM",
    "# Not MemoryDenyWriteExecute: Node compiles at run time.",
  ];
}

function install(): readonly string[] {
  return ["[Install]", "WantedBy=multi-user.target"];
}

/** `%` begins a specifier everywhere. */
function specifiers(text: string): string {
  return text.replaceAll("%", "%%");
}

/** A word of a list, quoted where it needs to be. */
function listWord(text: string): string {
  const word = specifiers(text);
  return /^[\w@%:,.=+/-]+$/.test(word) ? word : `"${word.replaceAll(/["\\]/g, String.raw`\$&`)}"`;
}

/** A word of a command line, where `$` begins a variable too. */
function commandWord(text: string): string {
  return listWord(text.replaceAll("$", "$$$$"));
}

/** A word as a shell reads it. */
function shellWord(text: string): string {
  return /^[\w@%:,.=+/-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
