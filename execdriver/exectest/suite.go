package exectest

import (
	"context"
	"testing"

	"github.com/jobengine/engine/execdriver"
)

// Open opens the driver under test on a state folder. The suite opens a folder
// twice where a promise says that another process may go on with a container.
type Open func(t testing.TB, stateDir string) execdriver.Driver

// Run holds a driver to the contract. Rows about optional interfaces are skipped
// for drivers that lack them.
func Run(t *testing.T, open Open) {
	for _, r := range rows() {
		t.Run(r.name, func(t *testing.T) {
			t.Log(r.why)
			r.run(newBench(t, open))
		})
	}
}

type row struct {
	name string
	why  string
	run  func(b *bench)
}

func rows() []row {
	return []row{
		{"CreateWaits", "the first process must not run before Start: networks are joined in between", createWaits},
		{"StartRuns", "after Start the program runs with the spec's arguments, environment and folder", startRuns},
		{"StartTwice", "a supervisor that took over may repeat Start", startTwice},
		{"ExitCode", "the receiver of the pidfd learns the exit code", exitCode},
		{"ExitBySignal", "a signal that ends the first process is seen as such", exitBySignal},
		{"Stdio", "the three descriptors are the process's own", stdio},
		{"StdioNull", "descriptors that are not given are /dev/null", stdioNull},
		{"Terminal", "with a terminal the master comes over the console socket, in the size of the spec", terminal},
		{"PidFDPolls", "the pidfd is non-blocking: nobody needs a thread to wait", pidFDPolls},
		{"CreateTwice", "an id names one container", createTwice},
		{"CreateNoProgram", "a missing program is told apart, and nothing is left of the container", createNoProgram},
		{"CreateNotExecutable", "so is a program that cannot be executed", createNotExecutable},
		{"CreateNoProcess", "a spec without a process is refused, and does not panic", createNoProcess},
		{"Exec", "a further process runs with its own arguments, environment and descriptors", execRuns},
		{"ExecTerminal", "a further process can have a terminal of its own", execTerminal},
		{"ExecNoProgram", "a missing program of an exec is told apart and leaves no process", execNoProgram},
		{"ExecEnded", "there is no exec in a container that has ended", execEnded},
		{"ExecMany", "execs may be started at the same time", execMany},
		{"SignalReaches", "Signal reaches the first process", signalReaches},
		{"SignalEnded", "a process that has ended cannot be signalled, nor one that never was", signalEnded},
		{"DeleteKills", "Delete ends every process of a running container", deleteKills},
		{"DeleteCreated", "so it does before Start", deleteCreated},
		{"DeleteAbsent", "deleting what is not there is not an error", deleteAbsent},
		{"DeleteThenCreate", "after Delete the id is free", deleteThenCreate},
		{"ListNames", "List names what the state folder knows, and nothing else", listNames},
		{"OtherProcessGoesOn", "nothing that matters is in memory: another opener starts, signals, execs, deletes", otherProcessGoesOn},
		{"PauseStops", "a paused container stands still, and goes on when resumed", pauseStops},
		{"PausedDies", "SIGKILL ends a paused container", pausedDies},
		{"PidsLists", "Pids has the first process and the execs, as the host sees them", pidsLists},
		{"KillAll", "KillAll ends what the first process left", killAll},
		{"NoOOM", "a plain end is not an out-of-memory kill", noOOM},
		{"UpdateChanges", "limits of a running container can be changed, by another opener too", updateChanges},
		{"StatsTell", "what a container uses grows with what it does", statsTell},
		{"OOMWatch", "the file that tells of lost memory waits in the poller", oomWatch},
	}
}

func ctx() context.Context { return context.Background() }
