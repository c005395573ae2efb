package interop

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// watchMain runs in a namespace. It says what comes to ports where nobody has any
// business, port 53 among them, and what leaves by the device "outside"; "watching"
// once it listens; and ends with standard input.
func watchMain() error {
	for _, addr := range []string{"127.0.0.1:53", "127.0.0.1:2222", "127.0.0.1:2223", "[::1]:2222", "[::1]:2223"} {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return err
		}
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				fmt.Println("connection to", addr)
				c.Close()
			}
		}()
	}
	questions, err := net.ListenPacket("udp4", "127.0.0.1:53")
	if err != nil {
		return err
	}
	go func() {
		b := make([]byte, 1500)
		for {
			n, _, err := questions.ReadFrom(b)
			if err != nil {
				return
			}
			fmt.Printf("question for a name: %q\n", b[:n])
		}
	}()
	if err := sniff("outside"); err != nil {
		return err
	}
	fmt.Println("watching")
	_, _ = io.Copy(io.Discard, os.Stdin)
	return nil
}

// sniff says where packets go that leave by a device.
func sniff(device string) error {
	iface, err := net.InterfaceByName(device)
	if err != nil {
		return err
	}
	const all = syscall.ETH_P_ALL<<8&0xff00 | syscall.ETH_P_ALL>>8
	fd, err := syscall.Socket(syscall.AF_PACKET, syscall.SOCK_RAW, all)
	if err != nil {
		return err
	}
	if err := syscall.Bind(fd, &syscall.SockaddrLinklayer{Protocol: all, Ifindex: iface.Index}); err != nil {
		return err
	}
	go func() {
		b := make([]byte, 1500)
		for {
			n, from, err := syscall.Recvfrom(fd, b, 0)
			if err != nil {
				return
			}
			if link, ok := from.(*syscall.SockaddrLinklayer); ok && link.Pkttype != syscall.PACKET_OUTGOING {
				continue
			}
			if n >= 38 && b[12] == 8 && b[13] == 0 { // IPv4 without options
				fmt.Printf("packet of protocol %d to %v:%d\n", b[23], net.IP(b[30:34]), binary.BigEndian.Uint16(b[36:38]))
			} else {
				fmt.Printf("packet % x\n", b[:min(n, 60)])
			}
		}
	}()
	return nil
}

// A watch is what a namespace must not do: ask for names, talk to the machine's own
// services, or send anything that only a default route leads to.
type watch struct {
	t     testing.TB
	netns string
	end   func()
	mu    sync.Mutex
	heard map[string]int
}

// watchNamespace gives a namespace a name server and a default route, by a device
// that counts packets, to a namespace that drops them.
func watchNamespace(t testing.TB, netns string) *watch {
	t.Helper()
	void := netns + "-void"
	namespace(t, void)
	ip(t, "link", "add", "outside", "netns", netns, "type", "veth", "peer", "name", "end", "netns", void)
	must(t, "/", nil, "ip", "netns", "exec", void, "sysctl", "-q", "-w", "net.ipv6.conf.all.disable_ipv6=1")
	ip(t, "-n", void, "link", "set", "end", "up")
	must(t, "/", nil, "ip", "netns", "exec", netns, "sysctl", "-q", "-w", "net.ipv6.conf.outside.addr_gen_mode=1")
	ip(t, "-n", netns, "link", "set", "outside", "multicast", "off", "arp", "off", "up")
	ip(t, "-n", netns, "route", "add", "default", "dev", "outside")
	ip(t, "-n", netns, "-6", "route", "add", "default", "dev", "outside")
	servers := "/etc/netns/" + netns + "/resolv.conf" // ip netns exec shows it as /etc/resolv.conf
	write(t, servers, "nameserver 127.0.0.1\n")
	t.Cleanup(func() {
		_ = os.RemoveAll("/etc/netns/" + netns)
		_ = os.Remove("/etc/netns")
	})
	w := &watch{t: t, netns: netns, heard: map[string]int{}}
	cmd := reexec(t, netns, "", "watch")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			if lines.Text() == "watching" {
				close(ready)
				continue
			}
			w.mu.Lock()
			w.heard[lines.Text()]++
			w.mu.Unlock()
		}
	}()
	w.end = sync.OnceFunc(func() {
		_ = stdin.Close()
		<-over
		if err := cmd.Wait(); err != nil {
			t.Errorf("the watch of %s: %v", netns, err)
		}
	})
	t.Cleanup(w.end)
	select {
	case <-ready:
	case <-over:
		t.Fatalf("no watch of %s", netns)
	}
	return w
}

// packets is how many were sent to other addresses than those of the link.
func (w *watch) packets() string {
	w.t.Helper()
	return strings.TrimSpace(must(w.t, "/", nil, "ip", "netns", "exec", w.netns, "cat", "/sys/class/net/outside/statistics/tx_packets"))
}

// nothing ends the watch, and fails when there was anything.
func (w *watch) nothing() {
	w.t.Helper()
	packets := w.packets()
	w.end()
	if packets != "0" || len(w.heard) > 0 {
		w.t.Errorf("%s packets left: %v", packets, w.heard)
	}
}

// reexec is this program in a namespace, on one core unless core is empty, as what
// role says; see TestMain.
func reexec(t testing.TB, netns, core, role string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"netns", "exec", netns}
	if core != "" {
		args = append(args, "taskset", "-c", core)
	}
	cmd := exec.Command("ip", append(args, self)...)
	cmd.Env = environment([]string{"ES_TEST_ROLE=" + role})
	cmd.Stderr = os.Stderr
	return cmd
}
