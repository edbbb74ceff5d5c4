// The C++ peer: gRPC's interop cases on the distribution's libgrpc++, with messages of grpc-proto.
//
//   grpc_peer server                 prints "listening on PORT"
//   grpc_peer client PORT CASE...    prints "ok CASE" for each; a case that fails ends the program
#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "grpc/testing/test.grpc.pb.h"

namespace {

using grpc::ClientContext;
using grpc::Status;
using grpc::StatusCode;
using namespace grpc::testing;  // NOLINT: the messages

const std::string kInitialKey = "x-grpc-test-echo-initial";
const std::string kInitial = "test_initial_metadata_value";
const std::string kTrailingKey = "x-grpc-test-echo-trailing-bin";
const std::string kTrailing = "\xab\xab\xab";
const std::string kSpecial =
    "\t\ntest with whitespace\r\nand Unicode BMP \xe2\x98\xba and non-BMP \xf0\x9f\x98\x88\t\n";

void expect(bool holds, const std::string& what) {
  if (holds) return;
  std::fprintf(stderr, "failed: %s\n", what.c_str());
  std::_Exit(1);
}

std::string text_of(const Status& status) {
  return std::to_string(status.error_code()) + " \"" + status.error_message() + "\"";
}

void expect_ok(const Status& status) { expect(status.ok(), "the call ended with " + text_of(status)); }

// ---- server ----------------------------------------------------------------------------------

class Server final : public TestService::Service {
  static void echo_metadata(grpc::ServerContext& context) {
    for (const auto& [key, value] : context.client_metadata()) {
      const std::string name(key.data(), key.size());
      const std::string text(value.data(), value.size());
      if (name == kInitialKey) context.AddInitialMetadata(name, text);
      if (name == kTrailingKey) context.AddTrailingMetadata(name, text);
    }
  }
  static Status wanted(const EchoStatus& status) {
    return Status(static_cast<StatusCode>(status.code()), status.message());
  }
  template <class Writer>
  static void write(const StreamingOutputCallRequest& request, Writer& writer) {
    for (const ResponseParameters& each : request.response_parameters()) {
      if (each.interval_us() > 0) usleep(static_cast<useconds_t>(each.interval_us()));
      StreamingOutputCallResponse answer;
      answer.mutable_payload()->set_body(std::string(each.size(), '\0'));
      if (!writer.Write(answer)) return;
    }
  }

  Status EmptyCall(grpc::ServerContext*, const Empty*, Empty*) override { return Status::OK; }
  Status UnaryCall(grpc::ServerContext* context, const SimpleRequest* request,
                   SimpleResponse* answer) override {
    echo_metadata(*context);
    if (request->has_response_status()) return wanted(request->response_status());
    answer->mutable_payload()->set_body(std::string(request->response_size(), '\0'));
    return Status::OK;
  }
  Status StreamingOutputCall(grpc::ServerContext*, const StreamingOutputCallRequest* request,
                             grpc::ServerWriter<StreamingOutputCallResponse>* writer) override {
    write(*request, *writer);
    return Status::OK;
  }
  Status StreamingInputCall(grpc::ServerContext*,
                            grpc::ServerReader<StreamingInputCallRequest>* reader,
                            StreamingInputCallResponse* answer) override {
    StreamingInputCallRequest request;
    size_t size = 0;
    while (reader->Read(&request)) size += request.payload().body().size();
    answer->set_aggregated_payload_size(static_cast<int32_t>(size));
    return Status::OK;
  }
  Status FullDuplexCall(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<StreamingOutputCallResponse, StreamingOutputCallRequest>* stream)
      override {
    echo_metadata(*context);
    StreamingOutputCallRequest request;
    while (stream->Read(&request)) {
      if (request.has_response_status()) return wanted(request.response_status());
      write(request, *stream);
    }
    return Status::OK;
  }
};

void serve() {
  Server service;
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&service);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  std::printf("listening on %d\n", port);
  std::fflush(stdout);
  server->Wait();
}

// ---- client ----------------------------------------------------------------------------------

class Client {
 public:
  explicit Client(const std::string& port) {
    grpc::ChannelArguments arguments;
    arguments.SetString(GRPC_ARG_DEFAULT_AUTHORITY, "service");
    const auto channel = grpc::CreateCustomChannel("127.0.0.1:" + port,
                                                   grpc::InsecureChannelCredentials(), arguments);
    service_ = TestService::NewStub(channel);
    unknown_ = UnimplementedService::NewStub(channel);
  }

  void run(const std::string& name) {
    const std::map<std::string, std::function<void()>> cases = {
        {"empty_unary", [&] { empty_unary(); }},
        {"large_unary", [&] { large_unary(GRPC_COMPRESS_NONE); }},
        {"client_compressed_unary", [&] { large_unary(GRPC_COMPRESS_GZIP); }},
        {"client_streaming", [&] { client_streaming(); }},
        {"server_streaming", [&] { server_streaming(); }},
        {"ping_pong", [&] { ping_pong(); }},
        {"empty_stream", [&] { empty_stream(); }},
        {"custom_metadata", [&] { custom_metadata(); }},
        {"status_code_and_message", [&] { status("test status message"); }},
        {"special_status_message", [&] { status(kSpecial); }},
        {"unimplemented_method", [&] { unimplemented(*service_); }},
        {"unimplemented_service", [&] { unimplemented(*unknown_); }},
        {"cancel_after_begin", [&] { cancel_after_begin(); }},
        {"cancel_after_first_response", [&] { cancel_after_first_response(); }},
        {"timeout_on_sleeping_server", [&] { timeout_on_sleeping_server(); }},
    };
    const auto found = cases.find(name);
    expect(found != cases.end(), "no case " + name);
    found->second();
    std::printf("ok %s\n", name.c_str());
    std::fflush(stdout);
  }

 private:
  // Every call has a deadline: nothing may hang.
  struct Context : ClientContext {
    explicit Context(int ms = 60'000) {
      set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(ms));
    }
    void add_metadata() {
      AddMetadata(kInitialKey, kInitial);
      AddMetadata(kTrailingKey, kTrailing);
    }
    void expect_metadata() {
      const auto initial = GetServerInitialMetadata().find(kInitialKey);
      expect(initial != GetServerInitialMetadata().end() && initial->second == kInitial, "initial");
      const auto trailing = GetServerTrailingMetadata().find(kTrailingKey);
      expect(trailing != GetServerTrailingMetadata().end() && trailing->second == kTrailing, "trailing");
    }
  };
  static StreamingOutputCallRequest outputs(const std::vector<int>& sizes, int upload,
                                            int interval_us = 0) {
    StreamingOutputCallRequest request;
    request.mutable_payload()->set_body(std::string(upload, '\0'));
    for (const int size : sizes) {
      ResponseParameters& each = *request.add_response_parameters();
      each.set_size(size);
      each.set_interval_us(interval_us);
    }
    return request;
  }
  static void expect_zeros(const Payload& payload, size_t size) {
    expect(payload.body() == std::string(size, '\0'), "a payload of " + std::to_string(size));
  }

  void empty_unary() {
    Context context;
    Empty request, answer;
    expect_ok(service_->EmptyCall(&context, request, &answer));
  }
  void large_unary(grpc_compression_algorithm compression) {
    Context context;
    context.set_compression_algorithm(compression);
    SimpleRequest request;
    SimpleResponse answer;
    request.set_response_size(314159);
    request.mutable_payload()->set_body(std::string(271828, '\0'));
    expect_ok(service_->UnaryCall(&context, request, &answer));
    expect_zeros(answer.payload(), 314159);
  }
  void client_streaming() {
    Context context;
    StreamingInputCallResponse answer;
    const auto stream = service_->StreamingInputCall(&context, &answer);
    for (const int size : {27182, 8, 1828, 45904}) {
      StreamingInputCallRequest request;
      request.mutable_payload()->set_body(std::string(size, '\0'));
      expect(stream->Write(request), "write");
    }
    stream->WritesDone();
    expect_ok(stream->Finish());
    expect(answer.aggregated_payload_size() == 74922, "the sum of sizes");
  }
  void server_streaming() {
    Context context;
    const std::vector<int> sizes = {31415, 9, 2653, 58979};
    const auto stream = service_->StreamingOutputCall(&context, outputs(sizes, 0));
    StreamingOutputCallResponse answer;
    for (const int size : sizes) {
      expect(stream->Read(&answer), "read");
      expect_zeros(answer.payload(), size);
    }
    expect(!stream->Read(&answer), "the end");
    expect_ok(stream->Finish());
  }
  void ping_pong() {
    Context context;
    const auto stream = service_->FullDuplexCall(&context);
    const std::pair<int, int> rounds[] = {{31415, 27182}, {9, 8}, {2653, 1828}, {58979, 45904}};
    StreamingOutputCallResponse answer;
    for (const auto& [size, upload] : rounds) {
      expect(stream->Write(outputs({size}, upload)) && stream->Read(&answer), "a round");
      expect_zeros(answer.payload(), size);
    }
    stream->WritesDone();
    expect(!stream->Read(&answer), "the end");
    expect_ok(stream->Finish());
  }
  void empty_stream() {
    Context context;
    const auto stream = service_->FullDuplexCall(&context);
    stream->WritesDone();
    StreamingOutputCallResponse answer;
    expect(!stream->Read(&answer), "the end");
    expect_ok(stream->Finish());
  }
  void custom_metadata() {
    Context unary;
    unary.add_metadata();
    SimpleRequest request;
    SimpleResponse response;
    request.set_response_size(1);
    expect_ok(service_->UnaryCall(&unary, request, &response));
    unary.expect_metadata();
    Context duplex;
    duplex.add_metadata();
    const auto stream = service_->FullDuplexCall(&duplex);
    stream->Write(outputs({1}, 1));
    stream->WritesDone();
    StreamingOutputCallResponse answer;
    while (stream->Read(&answer)) {
    }
    expect_ok(stream->Finish());
    duplex.expect_metadata();
  }
  void expect_status(const Status& status, const std::string& message) {
    expect(status.error_code() == StatusCode::UNKNOWN && status.error_message() == message,
           text_of(status));
  }
  void status(const std::string& message) {
    EchoStatus wanted;
    wanted.set_code(StatusCode::UNKNOWN);
    wanted.set_message(message);
    Context unary;
    SimpleRequest request;
    SimpleResponse response;
    *request.mutable_response_status() = wanted;
    expect_status(service_->UnaryCall(&unary, request, &response), message);
    Context duplex;
    StreamingOutputCallRequest first;
    *first.mutable_response_status() = wanted;
    const auto stream = service_->FullDuplexCall(&duplex);
    stream->Write(first);
    stream->WritesDone();
    StreamingOutputCallResponse answer;
    expect(!stream->Read(&answer), "the end");
    expect_status(stream->Finish(), message);
  }
  template <class Stub>
  void unimplemented(Stub& stub) {
    Context context;
    Empty request, answer;
    const Status status = stub.UnimplementedCall(&context, request, &answer);
    expect(status.error_code() == StatusCode::UNIMPLEMENTED, text_of(status));
  }
  void cancel_after_begin() {
    Context context;
    StreamingInputCallResponse answer;
    const auto stream = service_->StreamingInputCall(&context, &answer);
    context.TryCancel();
    const Status status = stream->Finish();
    expect(status.error_code() == StatusCode::CANCELLED, text_of(status));
  }
  void cancel_after_first_response() {
    Context context;
    const auto stream = service_->FullDuplexCall(&context);
    StreamingOutputCallResponse answer;
    expect(stream->Write(outputs({31415}, 27182)) && stream->Read(&answer), "a round");
    expect_zeros(answer.payload(), 31415);
    context.TryCancel();
    const Status status = stream->Finish();
    expect(status.error_code() == StatusCode::CANCELLED, text_of(status));
  }
  void timeout_on_sleeping_server() {
    for (const int ms : {1, 300}) {
      Context context(ms);
      const auto stream = service_->FullDuplexCall(&context);
      stream->Write(outputs({1}, 27182, 1'500'000));
      StreamingOutputCallResponse answer;
      expect(!stream->Read(&answer), "nothing is read");
      const Status status = stream->Finish();
      expect(status.error_code() == StatusCode::DEADLINE_EXCEEDED, text_of(status));
    }
  }

  std::unique_ptr<TestService::Stub> service_;
  std::unique_ptr<UnimplementedService::Stub> unknown_;
};

}  // namespace

int main(int argc, char** argv) {
  const std::string role = argc > 1 ? argv[1] : "";
  if (role == "server") {
    serve();
  } else {
    expect(role == "client" && argc > 3, "usage: server | client PORT CASE...");
    Client client(argv[2]);
    for (int i = 3; i < argc; ++i) client.run(argv[i]);
  }
  return 0;
}
