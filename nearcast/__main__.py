from nearcast.main import run

run()
