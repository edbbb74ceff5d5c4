// The Go peer: gRPC's own interop cases (package interop) with a client and a server around them.
//
//	peer server                 prints "listening on PORT"
//	peer client PORT CASE...    prints "ok CASE" for each; a case that fails ends the program
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/interop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == "server" {
		serve()
	} else if len(os.Args) > 3 && os.Args[1] == "client" {
		call(os.Args[2], os.Args[3:])
	} else {
		fail("usage: peer server | peer client PORT CASE...")
	}
}

func fail(what any) {
	fmt.Fprintln(os.Stderr, what)
	os.Exit(1)
}

func serve() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fail(err)
	}
	fmt.Println("listening on", listener.Addr().(*net.TCPAddr).Port)
	server := grpc.NewServer()
	testgrpc.RegisterTestServiceServer(server, interop.NewTestServer())
	fail(server.Serve(listener))
}

func call(port string, cases []string) {
	connection, err := grpc.Dial("127.0.0.1:"+port, grpc.WithAuthority("service"),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		fail(err)
	}
	service := testgrpc.NewTestServiceClient(connection)
	unknown := testgrpc.NewUnimplementedServiceClient(connection)
	for _, name := range cases {
		ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
		switch name {
		case "empty_unary":
			interop.DoEmptyUnaryCall(ctx, service)
		case "large_unary":
			interop.DoLargeUnaryCall(ctx, service)
		case "client_compressed_unary":
			interop.DoLargeUnaryCall(ctx, service, grpc.UseCompressor(gzip.Name))
		case "client_streaming":
			interop.DoClientStreaming(ctx, service)
		case "server_streaming":
			interop.DoServerStreaming(ctx, service)
		case "ping_pong":
			interop.DoPingPong(ctx, service)
		case "empty_stream":
			interop.DoEmptyStream(ctx, service)
		case "custom_metadata":
			interop.DoCustomMetadata(ctx, service)
		case "status_code_and_message":
			interop.DoStatusCodeAndMessage(ctx, service)
		case "special_status_message":
			interop.DoSpecialStatusMessage(ctx, service)
		case "unimplemented_method":
			interop.DoUnimplementedMethod(ctx, connection)
		case "unimplemented_service":
			interop.DoUnimplementedService(ctx, unknown)
		case "cancel_after_begin":
			interop.DoCancelAfterBegin(ctx, service)
		case "cancel_after_first_response":
			interop.DoCancelAfterFirstResponse(ctx, service)
		case "timeout_on_sleeping_server":
			interop.DoTimeoutOnSleepingServer(ctx, service)
		default:
			fail("unknown case " + name)
		}
		cancel()
		fmt.Println("ok", name)
	}
}
