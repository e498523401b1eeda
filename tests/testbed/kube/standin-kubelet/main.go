// standin-kubelet: the few kubelet HTTPS endpoints an API server needs so that `kubectl logs`, `kubectl port-forward`
// and `kubectl exec` work with no container runtime: pods are objects, and what they say and do stands in files.
// Built inside the Kubernetes 1.20 tree (it uses its vendored packages).
package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"io"
	"io/ioutil"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"
	consts "k8s.io/apimachinery/pkg/util/remotecommand"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/kubernetes/pkg/kubelet/cri/streaming/portforward"
	server "k8s.io/kubernetes/pkg/kubelet/cri/streaming/remotecommand"
	utilexec "k8s.io/utils/exec"
)

var (
	logDir   = flag.String("logs", "logs", "folder: NAMESPACE/POD/CONTAINER.log")
	forwards = flag.String("forwards", "forwards", "file, re-read each time: NAMESPACE/POD:PORT HOST:PORT")
	commands = flag.String("commands", "commands", "file, re-read each time: NAMESPACE/POD LINE, for a shell; \"$@\" is what is to be run")
)

// GET /containerLogs/NS/POD/CONTAINER?follow=&tailLines=&previous=...
func containerLogs(w http.ResponseWriter, r *http.Request) {
	p := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	if len(p) != 4 || strings.Contains(r.URL.Path, "..") {
		http.Error(w, "want /containerLogs/ns/pod/container", http.StatusBadRequest)
		return
	}
	q := r.URL.Query()
	f, err := os.Open(filepath.Join(*logDir, p[1], p[2], p[3]+".log"))
	if err != nil || q.Get("previous") == "true" {
		http.Error(w, fmt.Sprintf("no log for container %q in pod %q", p[3], p[2]), http.StatusNotFound)
		return
	}
	defer f.Close()
	w.Header().Set("Content-Type", "text/plain")
	if n, err := strconv.Atoi(q.Get("tailLines")); err == nil {
		var ring []string
		s := bufio.NewScanner(f)
		s.Buffer(nil, 1<<20)
		for s.Scan() {
			ring = append(ring, s.Text())
			if len(ring) > n {
				ring = ring[1:]
			}
		}
		for _, l := range ring {
			fmt.Fprintln(w, l)
		}
	}
	flush := func() {
		if fl, ok := w.(http.Flusher); ok {
			fl.Flush()
		}
	}
	for {
		if _, err := io.Copy(w, f); err != nil {
			return
		}
		flush()
		if q.Get("follow") != "true" {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-time.After(200 * time.Millisecond):
		}
	}
}

type forwarder struct{}

func (forwarder) PortForward(name string, uid types.UID, port int32, stream io.ReadWriteCloser) error {
	defer stream.Close()
	target := fmt.Sprintf("127.0.0.1:%d", port)
	if b, err := ioutil.ReadFile(*forwards); err == nil {
		for _, l := range strings.Split(string(b), "\n") {
			f := strings.Fields(l)
			if len(f) == 2 && f[0] == fmt.Sprintf("%s:%d", name, port) {
				target = f[1]
			}
		}
	}
	c, err := net.Dial("tcp", target)
	if err != nil {
		return err
	}
	defer c.Close()
	go func() {
		io.Copy(c, stream)
		c.(*net.TCPConn).CloseWrite()
	}()
	io.Copy(stream, c) // over when the target closes
	return nil
}

// GET or POST /portForward/NS/POD[/UID]: SPDY/3.1, or WebSocket v4.channel.k8s.io?port=N
func portForward(w http.ResponseWriter, r *http.Request) {
	p := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	if len(p) < 3 {
		http.Error(w, "want /portForward/ns/pod", http.StatusBadRequest)
		return
	}
	opts, err := portforward.NewV4Options(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	portforward.ServePortForward(w, r, forwarder{}, p[1]+"/"+p[2], "", opts, 4*time.Hour, 30*time.Second, portforward.SupportedProtocols)
}

type executor struct{}

func (executor) ExecInContainer(name string, _ types.UID, _ string, cmd []string, in io.Reader, out, errs io.WriteCloser,
	_ bool, _ <-chan remotecommand.TerminalSize, _ time.Duration) error {
	b, err := ioutil.ReadFile(*commands)
	if err != nil {
		return err
	}
	for _, l := range strings.Split(string(b), "\n") {
		f := strings.SplitN(l, " ", 2)
		if len(f) != 2 || f[0] != name {
			continue
		}
		c := exec.Command("sh", append([]string{"-c", f[1], "sh"}, cmd...)...)
		c.Stdout, c.Stderr = out, errs
		// Not c.Stdin: Wait would wait for a client that says nothing more.
		stdin, err := c.StdinPipe()
		if err != nil {
			return err
		}
		if err := c.Start(); err != nil {
			return err
		}
		go func() {
			if in != nil {
				io.Copy(stdin, in)
			}
			stdin.Close()
		}()
		err = c.Wait()
		if e, ok := err.(*exec.ExitError); ok {
			return utilexec.CodeExitError{Err: e, Code: e.ExitCode()}
		}
		return err
	}
	return utilexec.CodeExitError{Err: fmt.Errorf("no command for %s", name), Code: 127}
}

// GET or POST /exec/NS/POD[/UID]/CONTAINER?command=…
func execute(w http.ResponseWriter, r *http.Request) {
	p := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	if len(p) < 4 {
		http.Error(w, "want /exec/ns/pod/container", http.StatusBadRequest)
		return
	}
	opts, err := server.NewOptions(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	server.ServeExec(w, r, executor{}, p[1]+"/"+p[2], "", p[len(p)-1], r.Form["command"], opts, 4*time.Hour, 30*time.Second,
		consts.SupportedStreamingProtocols)
}

func main() {
	addr := flag.String("listen", "127.0.0.1:10250", "")
	crt := flag.String("cert", "", "")
	key := flag.String("key", "", "")
	ca := flag.String("client-ca", "", "clients must show a certificate of this CA")
	flag.Parse()
	pem, err := ioutil.ReadFile(*ca)
	if err != nil {
		log.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ok") })
	mux.HandleFunc("/containerLogs/", containerLogs)
	mux.HandleFunc("/portForward/", portForward)
	mux.HandleFunc("/exec/", execute)
	srv := &http.Server{Addr: *addr, Handler: mux,
		TLSConfig: &tls.Config{ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert},
		// SPDY and WebSocket upgrades need HTTP/1.1
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){}}
	log.Fatal(srv.ListenAndServeTLS(*crt, *key))
}
