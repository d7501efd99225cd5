// The part of Velero that talks to an object store: Velero's own client of plugins starts its AWS plugin as Velero does, and calls everything an ObjectStore has.
// tests/apps/test_velero.py starts it, gives it the plugin's configuration, and looks at what it leaves.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"time"

	"github.com/hashicorp/go-plugin"
	"github.com/sirupsen/logrus"
	"github.com/vmware-tanzu/velero/pkg/plugin/framework"
	"github.com/vmware-tanzu/velero/pkg/plugin/framework/common"
	"github.com/vmware-tanzu/velero/pkg/plugin/velero"
)

// What the test hands over: the plugin's program, its configuration, the bucket, and a folder with the files of the backups.
type order struct {
	Plugin, Bucket, Folder string
	Config                 map[string]string
}

func main() {
	var order order
	check(json.NewDecoder(os.Stdin).Decode(&order))
	kind := string(common.PluginKindObjectStore)
	client := plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  framework.Handshake(),
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		Plugins:          map[string]plugin.Plugin{kind: framework.NewObjectStorePlugin(common.ClientLogger(logrus.New()))},
		Cmd:              exec.Command(order.Plugin),
	})
	defer client.Kill()
	dispensed := must(must(client.Client()).Dispense(kind))
	store := dispensed.(common.ClientDispenser).ClientFor("velero.io/aws").(velero.ObjectStore)
	check(store.Init(order.Config))
	day(store, order)
}

// Two backups are stored and read back, one of them is removed as Velero removes an expired one.
func day(store velero.ObjectStore, order order) {
	names := []string{"backups/first/velero-backup.json", "backups/first/first.tar.gz", "backups/second/second.tar.gz", "metadata/revision"}
	for _, name := range names {
		body := must(os.ReadFile(order.Folder + "/" + name))
		expect(false, must(store.ObjectExists(order.Bucket, name)))
		check(store.PutObject(order.Bucket, name, io.MultiReader(bytes.NewReader(body))))
		expect(true, must(store.ObjectExists(order.Bucket, name)))
		found := must(store.GetObject(order.Bucket, name))
		expect(true, bytes.Equal(body, must(io.ReadAll(found))))
		check(found.Close())
	}
	expect([]string{"backups/", "metadata/"}, must(store.ListCommonPrefixes(order.Bucket, "", "/")))
	expect([]string{"backups/first/", "backups/second/"}, must(store.ListCommonPrefixes(order.Bucket, "backups/", "/")))
	// Velero wants them backwards, so that what lies in a folder goes before the folder.
	expired := must(store.ListObjects(order.Bucket, "backups/first/"))
	expect([]string{names[0], names[1]}, expired)
	for _, name := range expired {
		check(store.DeleteObject(order.Bucket, name))
		expect(false, must(store.ObjectExists(order.Bucket, name)))
	}
	expect(0, len(must(store.ListObjects(order.Bucket, "backups/first/"))))
	// What is gone stays gone without a complaint, and reading it says so.
	check(store.DeleteObject(order.Bucket, names[0]))
	expect("NoSuchKey", reading(store, order.Bucket, names[0]))
	json.NewEncoder(os.Stdout).Encode(must(store.CreateSignedURL(order.Bucket, names[2], time.Hour)))
}

// The code of S3 that a read fails with.
func reading(store velero.ObjectStore, bucket, name string) string {
	body, err := store.GetObject(bucket, name)
	if err == nil {
		_, err = io.ReadAll(body)
	}
	if err != nil && strings.Contains(err.Error(), "NoSuchKey") {
		return "NoSuchKey"
	}
	return fmt.Sprint(err)
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func must[T any](value T, err error) T {
	check(err)
	return value
}

func expect(expected, found any) {
	if !reflect.DeepEqual(expected, found) {
		panic(fmt.Sprintf("expected %v, found %v", expected, found))
	}
}
