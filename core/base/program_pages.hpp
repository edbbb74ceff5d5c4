// give_back_program_pages: lets go of the program's pages of code and constants that are mapped by now.
//
// Starting touches much of a program that serving never needs, and the kernel maps 64 KiB around each
// touch. What is needed again comes back from the page cache, a microsecond a time. Call it once,
// when the start is over.
#pragma once

namespace tulle {

void give_back_program_pages();

}  // namespace tulle
