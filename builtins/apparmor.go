package builtins

import (
	"os"
	"strings"

	"github.com/moby/profiles/apparmor"
	"github.com/sirupsen/logrus"
)

// appArmorName is the profile of containers that name none, moby's under a name of its own.
const appArmorName = "engine-default"

// appArmorOn tells whether the kernel confines programs by AppArmor. The module can be built in and off.
func appArmorOn() bool {
	text, err := os.ReadFile("/sys/module/apparmor/parameters/enabled")
	return err == nil && strings.HasPrefix(string(text), "Y")
}

// loadAppArmor loads the default profile, also in place of an older version's,
// and gives its name: "" where the kernel has no AppArmor or the host no parser.
func loadAppArmor(log *logrus.Logger) string {
	if !appArmorOn() {
		return ""
	}
	if err := apparmor.InstallDefault(appArmorName); err != nil {
		log.Warnf("containers run without an AppArmor profile: %v", err)
		return ""
	}
	return appArmorName
}

// ensureAppArmor loads the default profile if somebody has unloaded it, as
// aa-remove-unknown does with what has no file in /etc.
func ensureAppArmor() error {
	if loaded, err := apparmor.IsLoaded(appArmorName); err != nil || loaded {
		return err
	}
	return apparmor.InstallDefault(appArmorName)
}
